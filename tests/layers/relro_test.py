"""The loader can protect every program and library of a build after relocation: relro_test.py LIST.

LIST names a file per line; what is not built is left out. PT_GNU_RELRO says which addresses become read-only. The
loader takes whole pages of them: if one is in no PT_LOAD, nothing is mapped there, and a program ends before main().
"""
import mmap
import pathlib
import struct
import sys

LOAD, RELRO = 1, 0x6474E552
PAGE = mmap.PAGESIZE


def segments(image):
    """Type, address and size in memory of each program header of a 64-bit little-endian ELF file."""
    if image[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit little-endian ELF file")
    at, = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for i in range(count):
        kind, _, _, address, _, _, length, _ = struct.unpack_from("<IIQQQQQQ", image, at + i * size)
        yield kind, address, length


def pages(address, length):
    return range(address // PAGE, (address + length + PAGE - 1) // PAGE)


def fault(image):
    """What is wrong with the file, or None."""
    headers = list(segments(image))
    protected = [(address, length) for kind, address, length in headers if kind == RELRO]
    if not protected:
        return "has no PT_GNU_RELRO: what relocation writes stays writable"
    mapped = {page for kind, address, length in headers if kind == LOAD for page in pages(address, length)}
    for address, length in protected:
        for page in range(address // PAGE, (address + length) // PAGE):
            if page not in mapped:
                return f"has a PT_GNU_RELRO at {address:#x}, and its page {page * PAGE:#x} is in no PT_LOAD: link with another linker"
    return None


def prove_that_it_finds():
    def image(*headers):
        rows = [struct.pack("<IIQQQQQQ", kind, 4, 0, address, address, 0, length, 1) for kind, address, length in headers]
        return b"\x7fELF\x02\x01".ljust(32, b"\0") + struct.pack("<QQIHHH", 64, 0, 0, 64, 56, len(rows)).ljust(32, b"\0") + b"".join(rows)

    code, data = (LOAD, 0, PAGE + 0x100), (LOAD, 3 * PAGE, 2 * PAGE)
    assert fault(image(code, data, (RELRO, 3 * PAGE + 8, PAGE - 8))) is None
    assert fault(image(code, data, (RELRO, 2 * PAGE + 0x110, PAGE))) is not None  # a page between the two
    assert fault(image(code, data, (RELRO, 3 * PAGE, 3 * PAGE))) is not None  # a page after the last
    assert fault(image(code, data, (RELRO, 4 * PAGE, PAGE + 1))) is None  # the last byte is in no whole page
    assert fault(image(code, data)) is not None


if __name__ == "__main__":
    prove_that_it_finds()
    built = [path for path in map(pathlib.Path, pathlib.Path(sys.argv[1]).read_text().split("\n")) if path.is_file()]
    if not built:
        sys.exit(f"{sys.argv[1]} names no file that is there; build first")
    wrong = [f"{path} {what}" for path in built if (what := fault(path.read_bytes()))]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"all {len(built)} programs and libraries can be protected by the loader")
