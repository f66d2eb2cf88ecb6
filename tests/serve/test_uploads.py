"""Every kind of bad request has a 4xx and one clear sentence, and the server goes on."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from served import EDGE, FILE, exchange, form, get, image_file, post, running, write_bundle


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(write_bundle(tmp_path_factory.mktemp("bundle") / "colors")) as (_, port):
        yield port


def png(width: int, height: int, content: bytes = b"") -> bytes:
    """A PNG that declares so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def infer(value: Any, behind: bytes = b"", **headers: str) -> bytes:
    head = value if isinstance(value, bytes) else json.dumps(value).encode()
    if behind:
        headers = {"Inference_Header_Content_Length": str(len(head))} | headers
    return post("/v2/models/colors/infer", head + behind, **headers)


def tensor(datatype: str, shape: list[Any], **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "images", "datatype": datatype, "shape": shape, **more}]}


JPEG, PNG, GIF = image_file(kind="JPEG"), image_file(), image_file(kind="GIF")
BASE64 = base64.b64encode(PNG).decode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NOWHERE = "there is no such path; GET /docs lists those that are"
NO_HTTP = "this is not a valid HTTP/1.1 request; check its first line and its headers"
LONG = "the headers have more than 4,096 bytes; send fewer or shorter ones"
NOT_AS_DECLARED = "the body is not as its headers declare it; send it whole, in one piece"
LARGE = "the body has more than 200,000 bytes; send smaller or fewer images"
NO_FORM = "the form is not a whole multipart/form-data; let your HTTP library write it"
USE = "send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image"

BAD: dict[str, tuple[bytes, int, str]] = {
    # What is no HTTP, or too much of it.
    "a line of noise": (b"\x00\xffhello\r\n\r\n", 400, NO_HTTP),
    "TLS to a plain port": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
        400,
        NO_HTTP,
    ),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400, NO_HTTP),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, NOWHERE),
    "no Host": (b"POST /predict HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400, NO_HTTP),
    "two Hosts": (HEAD + b"Host: 127.0.0.1\r\n\r\n", 400, NO_HTTP),
    "a header without a colon": (HEAD + b"nothing\r\n\r\n", 400, NO_HTTP),
    "a header with a space in its name": (HEAD + b"a b: c\r\n\r\n", 400, NO_HTTP),
    "a header with a null": (HEAD + b"a: \x00\r\n\r\n", 400, NO_HTTP),
    "one long header": (HEAD + b"a: " + b"x" * 9_000 + b"\r\n\r\n", 431, LONG),
    "ten thousand headers": (HEAD + b"".join(b"a%d: b\r\n" % i for i in range(10_000)) + b"\r\n", 431, LONG),
    "a long path": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431, LONG),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400, NO_HTTP),
    "a length in words": (HEAD + b"Content-Length: ten\r\n\r\n", 400, NO_HTTP),
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, NO_HTTP),
    "a transfer coding that is not known": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400, NO_HTTP),
    "a chunk of no size": (CHUNKED + b"zz\r\nhello\r\n", 400, NOT_AS_DECLARED),
    "a chunk of a size beyond all": (CHUNKED + b"f" * 40 + b"\r\nhello\r\n", 400, NOT_AS_DECLARED),
    "a chunk that is longer than it says": (CHUNKED + b"3\r\nhello\r\n0\r\n\r\n", 400, NOT_AS_DECLARED),
    "a chunk extension without an end": (CHUNKED + b"3;" + b"x" * 9_000, 431, LONG),
    "a large body": (post("/predict", bytes(300_000)), 413, LARGE),
    "a length beyond all": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413, LARGE),
    "a large body that waits to be asked for": (
        HEAD + b"Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n",
        413,
        LARGE,
    ),
    "chunks without an end": (CHUNKED + (b"8000\r\n" + bytes(0x8000) + b"\r\n") * 8, 413, LARGE),
    "a compressed body": (
        post("/predict", gzip.compress(bytes(100_000)), Content_Encoding="gzip"),
        415,
        "the body is compressed; send it without Content-Encoding",
    ),
    "another Host": (
        post("/predict", PNG, Host="example.com"),
        421,
        "the Host header names another machine; ask for 127.0.0.1",
    ),
    "no such path": (post("/nothing", PNG), 404, NOWHERE),
    "a path upwards": (get("/docs/..%2f..%2fapp.py"), 404, NOWHERE),
    "a method that is none": (get("/predict"), 405, "this path has another method; GET /docs lists them"),
    # What is no image.
    "an empty body": (post("/predict", b""), 400, "the body is empty; send an image file"),
    "JSON": (
        post("/predict", b"{}", Content_Type="application/json"),
        415,
        "the body is application/json; send an image file, or a multipart/form-data of them",
    ),
    "no kind at all": (
        post("/predict", PNG, Content_Type="\xff;;;="),
        415,
        "the body is text/plain; send an image file, or a multipart/form-data of them",
    ),
    "noise": (
        post("/predict", bytes(range(1, 250))),
        415,
        "the image cannot be used: it is a file of no known kind; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "text": (
        post("/predict", b"hello"),
        415,
        "the image cannot be used: it is a text; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "a PDF": (
        post("/predict", b"%PDF-1.7\n" + bytes(99)),
        415,
        "the image cannot be used: it is a PDF document, which is not opened; save it as PNG or JPEG",
    ),
    "a zip": (
        post("/predict", b"PK\x03\x04" + bytes(99)),
        415,
        "the image cannot be used: it is a ZIP archive; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "an SVG": (
        post("/predict", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        415,
        "the image cannot be used: it is an SVG drawing, which is not opened; save it as PNG or JPEG",
    ),
    "a program": (
        post("/predict", b"\x7fELF" + bytes(99)),
        415,
        "the image cannot be used: it is a file of no known kind; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "PostScript": (
        post("/predict", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        415,
        "the image cannot be used: it is a PostScript document, which is not opened; save it as PNG or JPEG",
    ),
    "a JPEG's first half": (
        post("/predict", JPEG[: len(JPEG) // 2]),
        422,
        "the image cannot be used: it ends too early; send it whole",
    ),
    "a JPEG's first bytes": (
        post("/predict", JPEG[:4]),
        422,
        "the image cannot be used: it ends too early; send it whole",
    ),
    "a PNG's first half": (
        post("/predict", PNG[: len(PNG) // 2]),
        422,
        "the image cannot be used: it ends too early; send it whole",
    ),
    "a PNG without pixels": (
        post("/predict", png(32, 32)),
        422,
        "the image cannot be used: it ends too early; send it whole",
    ),
    "a PNG of no width": (
        post("/predict", png(0, 32)),
        422,
        "the image cannot be used: it cannot be decoded; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "a PNG with a wrong checksum": (
        post("/predict", PNG[:29] + b"\0\0\0\0" + PNG[33:]),
        422,
        "the image cannot be used: it cannot be decoded; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "a PNG bomb": (
        post("/predict", png(30_000, 30_000, bytes(1_000_000))),
        413,
        "the image cannot be used: its header declares 30,000 x 30,000 pixels, and 1,000,000 are the most; shrink it",
    ),
    "a GIF of a giant canvas": (
        post("/predict", GIF[:6] + b"\xff" * 4 + GIF[10:]),
        413,
        "the image cannot be used: its header declares 65,535 x 65,535 pixels, and 1,000,000 are the most; shrink it",
    ),
    "a GIF's header": (
        post("/predict", b"GIF89a\x10\0\x10\0\0\0\0"),
        422,
        "the image cannot be used: it cannot be decoded; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "a BMP that lies": (
        post("/predict", image_file(kind="BMP")[:60]),
        422,
        "the image cannot be used: it ends too early; send it whole",
    ),
    "a TIFF whose directory is itself": (
        post("/predict", b"II*\0\x08\0\0\0\x01\0" + bytes(12) + b"\x08\0\0\0"),
        422,
        "the image cannot be used: it cannot be decoded; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "a WebP's first bytes": (
        post("/predict", image_file(kind="WEBP")[:20]),
        422,
        "the image cannot be used: it ends too early; send it whole",
    ),
    "an array that lies": (
        post("/predict", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (900, 900, 3)}", b"short")),
        422,
        "the image cannot be used: it declares (900, 900, 3) values of uint8 and ends before them; send it whole",
    ),
    "an array of objects": (
        post("/predict", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"cos\nsystem\n.")),
        422,
        "the image cannot be used: its values are object, not numbers; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "an array of one number": (
        post("/predict", npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", b"\0")),
        422,
        "the image cannot be used: its shape is (); send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "no number of classes": (
        post("/predict?top=x", PNG),
        400,
        "`top`: input should be a valid integer, unable to parse string as an integer",
    ),
    "too many classes": (
        post("/predict?top=99999", PNG),
        400,
        "`top`: input should be less than or equal to 1000",
    ),
    "a name without an end": (
        post("/predict?name=" + "a" * 300, PNG),
        400,
        "`name`: string should have at most 200 characters",
    ),
    # Forms.
    "a form without a boundary": (
        post("/predict", form((FILE, PNG)), Content_Type="multipart/form-data"),
        400,
        "the Content-Type has no boundary; let your HTTP library write it",
    ),
    "a form with a boundary without an end": (
        post("/predict", form((FILE, PNG)), Content_Type="multipart/form-data; boundary=" + "b" * 999),
        400,
        NO_FORM,
    ),
    "a form that is empty": (post("/predict", b"", Content_Type=EDGE), 400, NO_FORM),
    "a form without a part": (
        post("/predict", b"--edge--\r\n", Content_Type=EDGE),
        400,
        "the form has no image; send each as a file of the form",
    ),
    "a form of another boundary": (
        post("/predict", form((FILE, PNG), boundary="x"), Content_Type=EDGE),
        400,
        NO_FORM,
    ),
    "a form that breaks off": (post("/predict", form((FILE, PNG))[:-30], Content_Type=EDGE), 400, NO_FORM),
    "ten thousand parts": (
        post("/predict", form(*[(FILE, b"x")] * 2_000), Content_Type=EDGE),
        413,
        "there are more than 8 images; send fewer at once",
    ),
    "a text in a form": (
        post("/predict", form(('Content-Disposition: form-data; name="image"', b"hello")), Content_Type=EDGE),
        400,
        "part 1 of the form is no file; send each image as a file of the form",
    ),
    "a part without headers": (
        post("/predict", b"--edge\r\n\r\nhello\r\n--edge--\r\n", Content_Type=EDGE),
        400,
        "part 1 of the form is no file; send each image as a file of the form",
    ),
    "a name that is not UTF-8": (
        post("/predict", form((FILE.replace("a.png", "\udcff\udcfe"), PNG)), Content_Type=EDGE),
        400,
        "the name of part 1 of the form is not UTF-8; send another",
    ),
    "a part in base64": (
        post(
            "/predict",
            form((FILE + "\r\nContent-Transfer-Encoding: base64", BASE64.encode())),
            Content_Type=EDGE,
        ),
        415,
        "part 1 of the form is encoded; send the bytes of the file as they are",
    ),
    "a part of long headers": (
        post("/predict", form((FILE + "\r\nX: " + "x" * 9_000, PNG)), Content_Type=EDGE),
        400,
        NO_FORM,
    ),
    "a part of many headers": (
        post("/predict", form((FILE + "\r\nX: x" * 50, PNG)), Content_Type=EDGE),
        400,
        NO_FORM,
    ),
    "an empty file in a form": (
        post("/predict", form((FILE, b"")), Content_Type=EDGE),
        400,
        "part 1 of the form is an empty file; send an image",
    ),
    "a form in a form": (
        post("/predict", form((FILE, PNG)), Content_Type="multipart/mixed; boundary=edge"),
        415,
        "the body is multipart/mixed; send an image file, or a multipart/form-data of them",
    ),
    "one bad image of three": (
        post(
            "/predict",
            form((FILE, PNG), (FILE.replace("a.png", "b.png"), PNG[:50]), (FILE, PNG)),
            Content_Type=EDGE,
        ),
        422,
        "the image b.png cannot be used: it ends too early; send it whole",
    ),
    # The Open Inference Protocol.
    "no network of that name": (
        post("/v2/models/cats/infer", b"{}"),
        404,
        "there is no network cats here; GET /v2/models lists what there is",
    ),
    "no such version": (
        post("/v2/models/colors/versions/9/infer", b"{}"),
        404,
        "there is no version 9; leave it out, or ask for 1",
    ),
    "JSON that breaks off": (
        infer(b'{"inputs": ['),
        400,
        "the request is not as the protocol has it: invalid JSON: EOF while parsing a list at line 1 column 12",
    ),
    "JSON that is not UTF-8": (
        infer(b'{"inputs": "\xff"}'),
        400,
        "the request is not as the protocol has it: invalid JSON: invalid unicode code point at line 1 column 13",
    ),
    "JSON of deep brackets": (
        infer(b"[" * 90_000),
        400,
        "the request is not as the protocol has it: invalid JSON: recursion limit exceeded at line 1 column 202",
    ),
    "a list": (infer([]), 400, "the request is not as the protocol has it: input should be an object"),
    "a number of many digits": (
        infer(b'{"inputs": ' + b"9" * 9_000 + b"}"),
        400,
        "the request is not as the protocol has it: invalid JSON: number out of range at line 1 column 4313",
    ),
    "no inputs": (
        infer({"inputs": []}),
        400,
        "the request is not as the protocol has it: `inputs`: list should have at least 1 item after validation, not 0",
    ),
    "an input without a shape": (
        infer({"inputs": [{"name": "images", "datatype": "BYTES"}]}),
        400,
        "the request is not as the protocol has it: `inputs.0.shape`: field required",
    ),
    "a negative shape": (
        infer(tensor("FP32", [-1, 3, 32, 32], data=[])),
        400,
        "the request is not as the protocol has it: `inputs.0.shape.0`: input should be greater than or equal to 1",
    ),
    "a shape of true": (
        infer(tensor("FP32", [True, 3, 32, 32], data=[])),
        400,
        "the request is not as the protocol has it: `inputs.0.shape.0`: input should be a valid integer",
    ),
    "a shape beyond all": (
        infer(tensor("FP32", [1, 2**31 - 1, 2**31 - 1, 2**31 - 1], data=[1.0])),
        400,
        "the input `images` has 1 values, and its shape needs 9,903,520,300,447,984,150,353,281,023",
    ),
    "two inputs": (
        infer({"inputs": tensor("BYTES", [1], data=[BASE64])["inputs"] * 2}),
        400,
        "there is one input, `images`; give it and no other",
    ),
    "an input of another name": (
        infer({"inputs": [{"name": "x\x1b", "datatype": "BYTES", "shape": [1], "data": [""]}]}),
        400,
        "there is one input, `images`; give it and no other",
    ),
    "a kind of numbers that is not taken": (
        infer(tensor("FP64", [1, 3, 32, 32], data=[0.0])),
        400,
        "`images` should be BYTES [N], image files; UINT8 [N, height, width, channels], pixels; or FP32 [N, 3, 32, 32], what the network reads",
    ),
    "images of another size": (
        infer(tensor("FP32", [1, 3, 8, 8], data=[0.0] * 192)),
        400,
        "the tensor has images of 3x8x8, and the network reads 3x32x32",
    ),
    "fewer values than the shape": (
        infer(tensor("FP32", [1, 3, 32, 32], data=[0.0])),
        400,
        "the input `images` has 1 values, and its shape needs 3,072",
    ),
    "values that are texts": (
        infer(tensor("FP32", [1, 3, 1, 1], data=["a", "b", "c"])),
        400,
        "the data of the input `images` are not all FP32",
    ),
    "lists of several lengths": (
        infer(tensor("FP32", [1, 3, 1, 1], data=[[1.0], [1.0, 2.0]])),
        400,
        "the data of the input `images` are not all FP32",
    ),
    "values that are no numbers": (
        infer(
            tensor("FP32", [1, 3, 32, 32], parameters={"binary_data_size": 12_288}),
            np.full(3072, np.nan, "<f4").tobytes(),
        ),
        400,
        "the input `images` has values that are no numbers; send finite ones",
    ),
    "pixels of 300": (
        infer(tensor("UINT8", [1, 1, 1, 3], data=[1, 2, 300])),
        400,
        "the data of the input `images` are not all UINT8",
    ),
    "no data": (
        infer(tensor("BYTES", [1])),
        400,
        "the input `images` has no data; give `data` or `binary_data_size`",
    ),
    "text that is no base64": (
        infer(tensor("BYTES", [1], data=["***"])),
        400,
        "the data of the input `images` should be image files in base64, or bytes behind the JSON",
    ),
    "a number for a file": (
        infer(tensor("BYTES", [1], data=[7])),
        400,
        "the data of the input `images` should be image files in base64, or bytes behind the JSON",
    ),
    "base64 of no image": (
        infer(tensor("BYTES", [1], data=["aGVsbG8="])),
        415,
        "the image [0] cannot be used: it is a text; send a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image",
    ),
    "fewer files than the shape": (
        infer(tensor("BYTES", [3], data=[BASE64])),
        400,
        "the input `images` has 1 elements, and its shape needs 3",
    ),
    "more images than may be": (
        infer(tensor("BYTES", [900], data=[""] * 900)),
        413,
        "there are more than 8 images; send fewer at once",
    ),
    "a JSON length beyond the body": (
        infer(tensor("BYTES", [1], data=[BASE64]), Inference_Header_Content_Length="99999"),
        400,
        "Inference-Header-Content-Length should be a number of at most 257",
    ),
    "a JSON length in words": (
        infer(tensor("BYTES", [1], data=[BASE64]), Inference_Header_Content_Length="ten"),
        400,
        "Inference-Header-Content-Length should be a number of at most 257",
    ),
    "bytes that belong to no input": (
        infer(tensor("BYTES", [1], data=[BASE64]), b"hello"),
        400,
        "5 bytes at the end belong to no input; mend `binary_data_size`",
    ),
    "more bytes announced than sent": (
        infer(tensor("BYTES", [1], parameters={"binary_data_size": 99}), b"hello"),
        400,
        "`binary_data_size` of the input `images` should be a number of at most 5",
    ),
    "an element longer than its bytes": (
        infer(tensor("BYTES", [1], parameters={"binary_data_size": 8}), b"\xff\xff\xff\x7fabcd"),
        400,
        "the bytes of the input `images` end inside of an element",
    ),
    "a tensor of too few bytes": (
        infer(tensor("FP32", [1, 3, 32, 32], parameters={"binary_data_size": 4}), bytes(4)),
        400,
        "the input `images` has 4 bytes, and its shape needs 12,288",
    ),
    "an output that is none": (
        infer(tensor("BYTES", [1], data=[BASE64]) | {"outputs": [{"name": "masks"}]}),
        400,
        "there is no output `masks`; there are label, known, probabilities, logits, where",
    ),
    "a ranking of names": (
        infer(
            tensor("BYTES", [1], data=[BASE64])
            | {"outputs": [{"name": "label", "parameters": {"classification": 3}}]}
        ),
        400,
        "`classification` is for `probabilities` and `logits`, with how many classes to name",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_has_a_4xx_and_one_sentence(port: int, kind: str) -> None:
    sent, status, sentence = BAD[kind]
    _is_refused(exchange(port, sent), status, sentence)
    assert exchange(port, post("/predict", PNG))[0] == 200


def _is_refused(answer: tuple[int, dict[str, str], bytes], status: int, sentence: str) -> None:
    found, headers, body = answer
    assert (found, headers.get("content-type")) == (status, "application/json")
    said = json.loads(body)
    assert list(said) == ["error"]
    assert "server" not in headers
    assert said["error"] == sentence
