"""The images in the body of a request: one file, or a form with several."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from striate.serve.limits import Limits, Refusal
from striate.text.visible import visible

# What curl says of a file that is sent with --data-binary, and what browsers say of one that they do not know.
PLAIN = ("application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream", "")


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it was sent.  name: of the file, as the sender says; content: its bytes."""

    name: str
    content: bytes


def read_uploads(content_type: str, body: bytes, limits: Limits) -> list[Upload]:
    """The images of a request's body.

    Raises Refusal: 415 for a body of another kind, 400 for one that is empty or no form as declared, 413 for
    too many images.
    """
    header = Message()
    header["content-type"] = content_type or "application/octet-stream"
    kind = header.get_content_type() if content_type else ""
    if kind == "multipart/form-data":
        return _read_form(str(header.get_param("boundary", "")), body, limits)
    if kind not in PLAIN and not kind.startswith("image/"):
        raise Refusal(
            415, f"the body is {visible(kind)[:60]}; send an image file, or a multipart/form-data of them"
        )
    if not body:
        raise Refusal(400, "the body is empty; send an image file")
    return [Upload("", body)]


def _read_form(boundary: str, body: bytes, limits: Limits) -> list[Upload]:
    if not boundary:
        raise Refusal(400, "the Content-Type has no boundary; let your HTTP library write it")
    form = _Form(limits)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.field,
                "on_header_value": form.value,
                "on_header_end": form.header,
                "on_headers_finished": form.headers_finished,
                "on_part_data": form.data,
                "on_part_end": form.end,
                "on_end": form.finish,
            },
            max_header_count=16,
            max_header_size=limits.header_bytes,
        )
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError, UnicodeError):
        form.whole = False
    if not form.whole:
        raise Refusal(400, "the form is not a whole multipart/form-data; let your HTTP library write it")
    if not form.uploads:
        raise Refusal(400, "the form has no image; send each as a file of the form")
    return form.uploads


class _Form:
    """What the parser finds, part by part."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.uploads: list[Upload] = []
        self.whole = False
        self.begin()

    def begin(self) -> None:
        if len(self.uploads) == self.limits.images:
            raise Refusal(413, f"there are more than {self.limits.images} images; send fewer at once")
        self.key, self.said, self.content = bytearray(), bytearray(), bytearray()
        self.headers: dict[str, bytes] = {}

    def field(self, data: bytes, start: int, end: int) -> None:
        self.key += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self.said += data[start:end]

    def header(self) -> None:
        self.headers[self.key.decode("latin-1").lower()] = bytes(self.said)
        self.key, self.said = bytearray(), bytearray()

    def headers_finished(self) -> None:
        which = f"part {len(self.uploads) + 1} of the form"
        try:
            said = self.headers.get("content-disposition", b"").decode("utf-8")
        except UnicodeDecodeError:
            raise Refusal(400, f"the name of {which} is not UTF-8; send another") from None
        if self.headers.get("content-transfer-encoding", b"binary").lower() not in (
            b"binary",
            b"8bit",
            b"7bit",
        ):
            raise Refusal(415, f"{which} is encoded; send the bytes of the file as they are")
        header = Message()
        header["content-disposition"] = said
        name = header.get_filename() if header.get_content_disposition() == "form-data" else None
        if name is None:
            raise Refusal(400, f"{which} is no file; send each image as a file of the form")
        self.name = name

    def data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def end(self) -> None:
        if not self.content:
            raise Refusal(400, f"part {len(self.uploads) + 1} of the form is an empty file; send an image")
        self.uploads.append(Upload(self.name, bytes(self.content)))

    def finish(self) -> None:
        self.whole = True
