"""safetensors files of float32 tensors, for tests and for the tools that make test data."""
import json
import struct


def packed(tensors, metadata=None):
    """The bytes of a file: name -> (shape, numbers), in the order of the names."""
    header, body = {} if metadata is None else {"__metadata__": metadata}, b""
    for name, (shape, numbers) in sorted(tensors.items()):
        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def unpacked(path):
    """Name -> (shape, bytes)."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    return {name: (entry["shape"], data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]) for name, entry in header.items() if name != "__metadata__"}
