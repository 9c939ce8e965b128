"""Sixty files that nobody should trust: each is to end in one sentence, with nothing run."""

import io
import json
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict

import torch

from tests.eden_bench.weights.dialects import weights


class Calls:
    """Pickles into a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def saved(content, **how):
    stream = io.BytesIO()
    torch.save(content, stream, **how)
    return stream.getvalue()


def text_pickle(name, *arguments):
    """A pickle of protocol 2 that calls a global by its name, as hand-written attacks do."""
    module, _, function = name.rpartition(".")
    pushed = b"".join(b"X" + struct.pack("<I", len(a)) + a.encode() for a in arguments)
    return b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"(" + pushed + b"tR."


def archive(pickled, **parts):
    """A zip in torch's layout around any pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/version", "3\n")
        made.writestr("archive/byteorder", "little")
        for name, content in parts.items():
            made.writestr(f"archive/data/{name.strip('_')}", content)
    return stream.getvalue()


def tensor_pickle(storage, offset, size, stride, count=1000):
    """A dictionary of one tensor whose storage of so many values, sizes and strides are as claimed."""
    out = io.BytesIO()
    made = pickle.Pickler(out, 2)
    key = ("storage", torch.FloatStorage, "0", "cpu", count)
    made.persistent_id = lambda one: key if one == "STORAGE" else None
    made.dispatch_table = {Claimed: lambda one: one.reduced}
    claimed = Claimed()
    claimed.reduced = (torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, OrderedDict()))
    made.dump({"conv1.weight": claimed})
    return out.getvalue()


class Claimed:
    pass


def safetensors(header, body=b"\0" * 16, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype="F32", shape=(4,), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def nested(depth, content):
    for _ in range(depth):
        content = {"in": content}
    return content


def itself():
    content = {}
    content["again"] = content
    return content


def laughs(width=40, depth=7):
    content = {"a": torch.ones(3)}
    for _ in range(depth):
        content = {f"n{place}": content for place in range(width)}
    return content


def lying(whole):
    """Claim 2 GB for the last part, in the zip's directory."""
    place = whole.rindex(b"PK\x01\x02") + 20
    return whole[:place] + struct.pack("<II", 0x7FFFFFFF, 0x7FFFFFFF) + whole[place + 8 :]


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and so in old files
        return torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)


def bomb():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.pkl", b"\0" * (64 << 20))
    return stream.getvalue()


def files(sentinel):
    """Return name to content and a part of the reason, for every file; code in one would write ``sentinel``."""
    touch, whole = f"touch {sentinel}", saved(weights())
    old = saved(weights(), _use_new_zipfile_serialization=False)
    write = f"open({str(sentinel)!r}, 'w')"
    code = "would have to run"
    return {
        "os.system": (saved({"a": Calls(os.system, touch)}), r"posix\.system " + code),
        "os.system, old format": (
            saved({"a": Calls(os.system, touch)}, _use_new_zipfile_serialization=False), r"posix\.system " + code),
        "subprocess": (text_pickle("subprocess.check_output", touch), code),
        "eval": (saved({"a": Calls(eval, write)}), "eval " + code),
        "exec": (saved({"a": Calls(exec, write)}), "exec " + code),
        "open": (saved({"a": Calls(open, str(sentinel), "w")}), r"io\.open " + code),
        "nested reductions": (saved({"a": Calls(print, Calls(eval, write))}), code),
        "getattr": (saved({"a": Calls(getattr, Calls(__import__, "os"), "system")}), code),
        "torch.hub": (archive(text_pickle("torch.hub.load", "a/b")), r"torch\.hub\.load " + code),
        "torch.load": (archive(text_pickle("torch.load", "x")), r"torch\.load " + code),
        "torch.jit": (archive(text_pickle("torch.jit.load", "x")), code),
        "numpy.load": (archive(text_pickle("numpy.load", "x")), r"numpy\.load " + code),
        "runpy": (archive(text_pickle("runpy.run_path", "x")), code),
        "a module": (saved({"model": torch.nn.Linear(2, 2)}), r"torch\.nn\.modules\.linear\.Linear " + code),
        "a global with colours": (archive(text_pickle("os.\x1b[31msystem", touch)), code),
        "call in the optimizer": (saved({**weights(), "optimizer": Calls(os.system, touch)}), code),
        "call as a key": (saved({Calls(os.system, touch): 1}), code),
        "bare pickle": (pickle.dumps({"a": Calls(os.system, touch)}), code + "|a protocol that is not read"),
        "protocol 0": (pickle.dumps({"a": Calls(os.system, touch)}, 0), "it starts with"),
        "protocol 5": (saved({"a": Calls(os.system, touch)}, pickle_protocol=5), code + "|a protocol that is not read"),
        "Namespace called with keys": (archive(text_pickle("argparse.Namespace", "x")), "no tensors"),
        "numpy object": (archive(text_pickle("numpy.core.multiarray.scalar", "O8", "x")), "no tensors"),
        **{f"cut at {share} %": (whole[: len(whole) * share // 100], "cut off") for share in (1, 30, 60, 99)},
        "cut by a byte": (whole[:-1], "damaged or cut off"),
        "old format, cut early": (old[:40], "damaged"),
        "old format, cut late": (old[:-500], "damaged"),
        "old format, another magic": (pickle.dumps(12345, 2) + old[20:], "damaged"),
        "no data.pkl": (archive(b"")[:200], "damaged"),
        "empty data.pkl": (archive(b""), "damaged"),
        "zip of a text": (archive(b"hello"), "damaged"),
        "directory of the zip spoilt": (whole[:-300] + b"\xff" * 200 + whole[-100:], "damaged|claims"),
        "sizes in the zip that lie": (lying(whole), "its archive claims 2,1"),
        "zip bomb": (bomb(), "its archive claims 67,1"),
        "storage cut": (archive(tensor_pickle("STORAGE", 0, (1000,), (1,)), _0=b"\0" * 10), "damaged"),
        "size beyond its storage": (archive(tensor_pickle("STORAGE", 0, (10**9,), (1,)), _0=b"\0" * 4000), "damaged"),
        "stride of nothing": (archive(tensor_pickle("STORAGE", 0, (10**6, 10**6), (0, 0)), _0=b"\0" * 4000), "claim"),
        "negative offset": (archive(tensor_pickle("STORAGE", -5, (10,), (1,)), _0=b"\0" * 4000), "damaged"),
        "huge storage": (archive(tensor_pickle("STORAGE", 0, (1,), (1,), 10**15), _0=b"\0" * 4000), "damaged|memory"),
        "deep nesting": (saved(nested(60, weights())), "no tensors"),
        "nested beyond the stack": (b"\x80\x02" + b"(" * 200_000 + b".", "damaged|memory"),
        "itself inside": (saved(itself()), "no tensors"),
        "a billion laughs": (saved(laughs()), "entries, more than any|times the file's size"),
        "one storage a thousand times": (saved(dict.fromkeys(map(str, range(1000)), torch.ones(4000))), "times the"),
        "tiny entries": (saved({f"t{n}": 0 for n in range(100_001)}), "entries, more than any checkpoint"),
        "keys that are numbers": (saved({n: torch.ones(2) for n in range(9)}), "no tensors under text names"),
        "names with colours": (saved({"\x1b[31mred": torch.ones(2)}), r"an entry's name is '\\x1b\[31mred'"),
        "half a letter": (saved({"\ud800": torch.ones(2)}), r"an entry's name|damaged"),
        "endless name": (saved({"a" * 100_000: torch.ones(2)}), "at most 300"),
        "a list": (saved([torch.ones(2)]), "no tensors"),
        "sparse": (saved({"a": torch.eye(3).to_sparse()}), "sparse, quantised"),
        "quantised": (saved({"a": quantised()}), "sparse, quantised"),
        "meta": (saved({"a": torch.empty(3, device="meta")}), "without values"),
        "random bytes": (random.Random(0).randbytes(5000), "it starts with"),
        "zeros": (bytes(5000), "it starts with"),
        "pickle, then random bytes": (b"\x80\x02" + random.Random(1).randbytes(500), "damaged|would have"),
        "text": (b"version https://git-lfs.github.com/spec/v1\n", "it starts with .*a pointer in its place"),
        "web page": (b"<!DOCTYPE html><html>Quota exceeded</html>", "it starts with .*a web page"),
        "header of safetensors too long": (safetensors({"a": entry()}, length=1 << 60), "no whole safetensors"),
        "header of safetensors beyond its file": (safetensors({"a": entry()}, length=9999), "no whole safetensors"),
        "overlapping tensors": (safetensors({"a": entry(), "b": entry(offsets=(8, 24))}, bytes(24)), "no whole safet"),
        "tensors beyond the file": (safetensors({"a": entry(shape=(999,), offsets=(0, 3996))}), "no whole safetensors"),
        "shape that overflows": (safetensors({"a": entry(shape=(1 << 40, 1 << 40))}), "no whole safetensors"),
        "unknown dtype": (safetensors({"a": entry(dtype="X99")}), "no whole safetensors"),
        "header that is no JSON": (safetensors(b"{" + b"[" * 5000), "no whole safetensors"),
        "safetensors without tensors": (safetensors({}, b""), "no tensors"),
    }  # fmt: skip
