"""Modules that the one file lacks although a module in it imports them.

LEFT_OUT is {module: (the reason why it may be missing, the modules that import it)}. imports.py
compares it with the build. A module belongs here if nothing that the program does reaches the
import, or if the importing module works without it.
"""

_CODECS = "encodings of East Asia: nothing is read in them, and Python then knows no such encoding"
_ARCHIVES = "the importing module works without it, and nothing here unpacks archives"
_PROCESSES = "pools and locks of processes, which nothing here uses; tqdm works without them"
_SELF_TEST = "for the importing module's own tests"

LEFT_OUT = {
    "_uuid": ("uuid works without it, and nothing here needs what it adds", ["uuid"]),
    "_codecs_cn": (_CODECS, [f"encodings.{name}" for name in ("gb18030", "gb2312", "gbk", "hz")]),
    "_codecs_hk": (_CODECS, ["encodings.big5hkscs"]),
    "_codecs_iso2022": (
        _CODECS,
        ["encodings.iso2022_kr"]
        + [f"encodings.iso2022_jp{ending}" for ending in ("", "_1", "_2", "_2004", "_3", "_ext")],
    ),
    "_codecs_jp": (
        _CODECS,
        [f"encodings.{name}" for name in ("cp932", "euc_jis_2004", "euc_jisx0213", "euc_jp")]
        + [f"encodings.shift_jis{ending}" for ending in ("", "_2004", "x0213")],
    ),
    "_codecs_kr": (_CODECS, [f"encodings.{name}" for name in ("cp949", "euc_kr", "johab")]),
    "_codecs_tw": (_CODECS, ["encodings.big5", "encodings.cp950"]),
    "_ios_support": ("for iOS", ["platform"]),
    "_osx_support": ("for macOS", ["sysconfig"]),
    "_pydecimal": ("for a Python without _decimal; this one has it", ["decimal"]),
    "bz2": (_ARCHIVES, ["encodings.bz2_codec", "shutil", "tarfile", "zipfile"]),
    "doctest": (_SELF_TEST, ["difflib", "pickle"]),
    "ftplib": ("for FTP URLs, which no setting takes", ["urllib.request"]),
    "gevent.libev._corecffi": (
        "for a gevent without its libev extension; this one has it",
        ["gevent.libev.corecffi", "gevent.libev.watcher"],
    ),
    "gevent.resolver.ares": ("a resolver that isn't used here", ["gevent.resolver_ares"]),
    "gevent.resolver.cares": ("a resolver that isn't used here", ["gevent.ares"]),
    "gevent.testing": (_SELF_TEST, ["gevent._util"]),
    "gevent.testing.modules": (_SELF_TEST, ["gevent._util"]),
    "importlib_resources": (
        "for what tqdm's own command installs; importlib.resources takes its place",
        ["tqdm.cli"],
    ),
    "lzma": (_ARCHIVES, ["shutil", "tarfile", "zipfile"]),
    "multiprocessing": (
        _PROCESSES,
        ["concurrent.futures.process", "gevent.subprocess", "tqdm.std"],
    ),
    "multiprocessing.connection": (_PROCESSES, ["concurrent.futures.process"]),
    "multiprocessing.queues": (_PROCESSES, ["concurrent.futures.process"]),
    "multiprocessing.synchronize": (_PROCESSES, ["concurrent.futures.process"]),
    "netrc": ("for passwords in ~/.netrc; requests works without it", ["requests.utils"]),
    "nym.application": ("the library for programs in Python, which bring their own", ["nym"]),
    "plistlib": ("for macOS", ["platform"]),
    "readline": ("for an interactive Python", ["code"]),
    "socks": (
        "PySocks, which the tests' browser brings along: nym/net/socks.py takes its place",
        ["urllib3.contrib.socks"],
    ),
    "tqdm.notebook": ("for progress bars in notebooks", ["tqdm"]),
    "xml.parsers": ("nothing reads XML; segno writes some", ["xml.sax.expatreader"]),
    "xml.parsers.expat": ("nothing reads XML; segno writes some", ["xml.sax.expatreader"]),
    "webbrowser": ("for QRCode.show, which nothing here calls", ["segno"]),
}
