"""What modules in the one file import and it doesn't have: why not, and which modules those are.

imports.py holds the build to it. A module belongs here where nothing that the program does comes to
that import, or where the importer goes on without.
"""

_CODECS = "encodings of East Asia: nothing is read in them; without, Python knows no such encoding"
_ARCHIVES = "the importer goes on without; nothing is unpacked"
_PROCESSES = "pools and locks of processes, which nothing here has; tqdm goes on without"
_SELF_TEST = "for the importer's own tests"

LEFT_OUT = {
    "_uuid": ("uuid goes on without, and needs it for nothing here", ["uuid"]),
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
    "_pydecimal": ("for a Python without _decimal", ["decimal"]),
    "bz2": (_ARCHIVES, ["encodings.bz2_codec", "shutil", "tarfile", "zipfile"]),
    "doctest": (_SELF_TEST, ["difflib", "pickle"]),
    "ftplib": ("addresses of FTP, which no setting takes", ["urllib.request"]),
    "gevent.libev._corecffi": (
        "for a gevent without its libev extension",
        ["gevent.libev.corecffi", "gevent.libev.watcher"],
    ),
    "gevent.resolver.ares": ("another resolver than ours", ["gevent.resolver_ares"]),
    "gevent.resolver.cares": ("another resolver than ours", ["gevent.ares"]),
    "gevent.testing": (_SELF_TEST, ["gevent._util"]),
    "gevent.testing.modules": (_SELF_TEST, ["gevent._util"]),
    "lzma": (_ARCHIVES, ["shutil", "tarfile", "zipfile"]),
    "multiprocessing": (
        _PROCESSES,
        ["concurrent.futures.process", "gevent.subprocess", "tqdm.std"],
    ),
    "multiprocessing.connection": (_PROCESSES, ["concurrent.futures.process"]),
    "multiprocessing.queues": (_PROCESSES, ["concurrent.futures.process"]),
    "multiprocessing.synchronize": (_PROCESSES, ["concurrent.futures.process"]),
    "netrc": ("passwords in ~/.netrc; requests goes on without", ["requests.utils"]),
    "plistlib": ("for macOS", ["platform"]),
    "readline": ("for an interactive Python", ["code"]),
    "tqdm.notebook": ("bars in notebooks", ["tqdm"]),
    "xml.parsers": ("nothing reads XML; segno writes some", ["xml.sax.expatreader"]),
    "xml.parsers.expat": ("nothing reads XML; segno writes some", ["xml.sax.expatreader"]),
    "webbrowser": ("for QRCode.show, which nothing here calls", ["segno"]),
}
