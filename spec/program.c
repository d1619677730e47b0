/* The program that the launcher enters: it starts Python, and gives it the module _bundle, over which
 * importer.py loads modules and libraries from the bundle. */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include "bundle.h"

#include <dlfcn.h>
#include <malloc.h>
#include <nss.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned char *bundle;
static const char *folder;

static int find(const char *name, struct member *member)
{
    if (bundle_find(bundle, name, member))
        return 1;
    PyErr_Format(PyExc_LookupError, "%s isn't in the program's file", name);
    return 0;
}

static PyObject *bundle_has(PyObject *module, PyObject *name)
{
    (void)module;
    struct member member;
    const char *text = PyUnicode_AsUTF8(name);
    return text ? PyBool_FromLong(bundle_find(bundle, text, &member)) : NULL;
}

static PyObject *bundle_read(PyObject *module, PyObject *name)
{
    (void)module;
    struct member member;
    const char *text = PyUnicode_AsUTF8(name);
    if (!text || !find(text, &member))
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)member.size);
    if (!bytes)
        return NULL;
    bundle_unpack(&member, PyBytes_AS_STRING(bytes));
    bundle_forget(bundle);
    return bytes;
}

static PyObject *bundle_open(PyObject *module, PyObject *name)
{
    (void)module;
    struct member member;
    const char *text = PyUnicode_AsUTF8(name);
    if (!text || !find(text, &member))
        return NULL;
    int fd = bundle_file(folder, text, &member);
    if (fd < 0)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
    bundle_forget(bundle);
    return PyLong_FromLong(fd);
}

/* Loads a library that others will ask for by its name (DT_NEEDED, dlopen). The dynamic linker then
 * finds that it is loaded, and doesn't look for one on the machine. */
static PyObject *bundle_load(PyObject *module, PyObject *path)
{
    (void)module;
    const char *text = PyUnicode_AsUTF8(path);
    if (!text)
        return NULL;
    if (!dlopen(text, RTLD_NOW | RTLD_LOCAL))
        return PyErr_Format(PyExc_ImportError, "%s", dlerror());
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"has", bundle_has, METH_O, "Whether there is a member of that name."},
    {"read", bundle_read, METH_O, "The member's bytes."},
    {"open", bundle_open, METH_O, "A descriptor of a file with the member's bytes."},
    {"load", bundle_load, METH_O, "Loads a library by its path."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_bundle", .m_size = -1, .m_methods = functions,
};

static PyObject *make_module(void)
{
    return PyModule_Create(&definition);
}

/* The modules that Python imports before it can import importer.py, and importer.py itself. */
static struct _frozen early[] = {EARLY_MODULES, {.name = NULL}};

static void freeze_early_modules(void)
{
    for (struct _frozen *module = early; module->name; module++) {
        char member_name[128];
        struct member member;
        snprintf(member_name, sizeof member_name, "early/%s", module->name);
        unsigned char *code = NULL;
        if (!bundle_find(bundle, member_name, &member) || !(code = malloc(member.size)))
            abort();
        bundle_unpack(&member, code);
        module->code = code;
        module->size = (int)member.size;
    }
    PyImport_FrozenModules = early;
}

/* Closes the files of the libraries that the launcher made. The libraries are mapped by now, so their
 * files needn't stay open. */
static void close_all(const char *descriptors)
{
    char *next;
    for (long fd; (fd = strtol(descriptors, &next, 10)), next != descriptors; descriptors = next)
        close((int)fd);
}

static void stop_on(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

static void start_python(int count, char **arguments)
{
    /* Isolated: no variable of the environment and no folder changes what is imported. */
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* texts and files are UTF-8, whatever the locale is */
    stop_on(Py_PreInitialize(&before));

    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 0;
    config.optimization_level = 2; /* as the modules in the bundle were compiled */
    config.pathconfig_warnings = 0;
    config.module_search_paths_set = 1; /* to nothing: importer.py finds all modules */
    /* Otherwise Python would look beside the one file for settings and for its library. From 3.14 on,
     * it looks beside its executable even if it has a home, so it learns the real path later. */
    stop_on(PyConfig_SetBytesString(&config, &config.executable, NO_FILE));
    stop_on(PyConfig_SetBytesString(&config, &config.home, NO_FILE));
    stop_on(PyConfig_SetBytesArgv(&config, count, arguments));
    stop_on(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    PyObject *executable = PyUnicode_DecodeFSDefault(path);
    if (!executable || PySys_SetObject("executable", executable) != 0)
        Py_FatalError("sys.executable can't be set");
    Py_DECREF(executable);
}

/* Loads Python's module for signals, and keeps the system's way with Ctrl-C: it ends the program.
 * The module makes Ctrl-C raise an exception, which would show a traceback until nym/__main__.py is
 * there to handle it. The signal is blocked in between, so that no moment has Python's way. */
static void load_signals(void)
{
    PyOS_sighandler_t before = PyOS_getsig(SIGINT);
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    Py_XDECREF(PyImport_ImportModule("_signal"));
    PyOS_setsig(SIGINT, before);
    sigprocmask(SIG_UNBLOCK, &interrupt, NULL);
}

int main(int count, char **arguments)
{
    /* The launcher puts three arguments before those of the user (see `enter` there). */
    bundle = (const unsigned char *)strtoull(arguments[1], NULL, 16);
    folder = arguments[2];
    close_all(arguments[3]);
    /* One heap for all threads: only one of them at a time runs Python, and each further heap takes
     * some memory for itself. */
    mallopt(M_ARENA_MAX, 1);
    arguments[3] = arguments[0];
    count -= 3, arguments += 3;

    /* Python can't start with a directory as standard input, and would say so in its own words. */
    struct stat input;
    if (fstat(STDIN_FILENO, &input) == 0 && S_ISDIR(input.st_mode)) {
        fprintf(stderr, "nym-client: standard input is a directory; give it a file or a pipe\n");
        return 1;
    }
    /* The machine's plug-ins for its C library and OpenSSL don't fit those of the bundle, so the
     * settings that name them are replaced. */
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
    setenv("OPENSSL_CONF", NO_FILE, 1);
    unsetenv("OPENSSL_MODULES");
    unsetenv("OPENSSL_ENGINES");
    PyImport_AppendInittab("_bundle", make_module);
    freeze_early_modules();
    start_python(count, arguments);
    load_signals();
    PyObject *importer = PyImport_ImportModule("importer");
    PyObject *code = importer ? PyObject_CallMethod(importer, "run", NULL) : NULL;
    if (!code)
        PyErr_Print(); /* doesn't return from a SystemExit, which is how the program usually ends */
    Py_XDECREF(code);
    Py_XDECREF(importer);
    return Py_FinalizeEx() < 0 || !code;
}
