"""Ask this bundle about image files: python run.py image.jpg ...  Needs onnxruntime, Pillow and numpy alone."""

import base64
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation -> Image.Transpose


def load(path: str, known: dict[str, Any]) -> Any:
    """An image file as the network reads it: 1 x C x height x width, float32."""
    image: Any = Image.open(path)
    height, width = known["stored_size"][:: -1 if image.getexif().get(0x0112, 1) in (5, 6, 7, 8) else 1]
    scale = 1.2 * max(height / image.height, width / image.width)
    large = isinstance(image, JpegImageFile) and scale <= 0.5  # much larger than needed: decoded smaller
    smaller = math.ceil(image.width * scale), math.ceil(image.height * scale)
    reduced = image.draft(None, smaller) if large else None
    image.load()
    turn, mode = image.getexif().get(0x0112, 1), image.mode
    across, down = reduced[1][2:] if reduced else image.size
    if mode[0] in "IF":
        raise SystemExit(f"{path}: an image of 16 or 32 bits: save it with 8, or ask `striate predict`")
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or image.info.get("transparency") is not None:
        clear = image.convert("LA" if mode in ("LA", "La") else "RGBA")  # laid on white
        image = Image.new(clear.mode[:-1], clear.size, 255 if clear.mode == "LA" else (255, 255, 255))
        image.paste(clear.convert(image.mode), mask=clear.getchannel("A"))
    image = image if image.mode in ("L", "RGB") else image.convert("L" if mode == "1" else "RGB")
    box, beside = (0.0, 0.0, across, down), (0, 0)
    if known["fit"] == "crop":
        scale = min(across / width, down / height)
        left, top = max(0.0, (across - scale * width) / 2), max(0.0, (down - scale * height) / 2)
        box = (left, top, min(left + scale * width, across), min(top + scale * height, down))
    elif known["fit"] == "pad":
        scale = min(width / across, height / down)
        inner = max(1, round(scale * across)), max(1, round(scale * down))
        beside, (width, height) = (width - inner[0], height - inner[1]), inner
    ground = Image.new(image.mode, (width + beside[0], height + beside[1]))
    small = image.resize((width, height), Image.Resampling.BILINEAR, box, 3.0)
    ground.paste(small, (beside[0] // 2, beside[1] // 2))
    upright = ground.transpose(Image.Transpose(TURNS[turn])) if turn in TURNS else ground
    pixels = np.atleast_3d(np.asarray(upright.convert("L" if known["channels"] == 1 else "RGB")))
    (height, width), stored, mean = known["size"], known["stored_size"], np.array(known["mean"], "f4")
    if known.get("mean_image"):
        mean = np.frombuffer(base64.b64decode(known["mean_image"]), "<f4").reshape(height, width, -1)
    top, left = (stored[0] - height) // 2, (stored[1] - width) // 2
    x = pixels[top : top + height, left : left + width].astype("f4") - mean
    x *= np.float32(1) / np.array(known["deviation"], "f4")
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    here = Path(__file__).parent
    bundle = json.loads((here / "bundle.json").read_text(encoding="utf-8"))
    session, sure = onnxruntime.InferenceSession(here / "network.onnx"), bundle["calibration"]
    asked = [each["threshold"] for each in sure["promises"] if each["risk"] == sure.get("wrong_at_most")]
    t = np.float32(sure["temperature"])

    def run(x: Any) -> Any:
        return session.run(["logits"], {"images": np.ascontiguousarray(x)})[0][0]

    for path in sys.argv[1:]:
        z = run(x := load(path, bundle["preprocessing"]))
        if 1 / np.exp(z - z.max()).sum() < bundle["tta"]:  # asked again, mirrored and shifted by a pixel
            wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "reflect")
            moved = wide[..., :-2, :-2], wide[..., 2:, 2:]
            z = (2 * (z + run(x[..., ::-1])) + sum(run(m) + run(m[..., ::-1]) for m in moved)) / np.float32(8)
        total = np.exp((z - z.max()) / t).sum()  # the largest probability is 1 / total
        unsure = 1 / total < max([0, *asked]) or -z.max() - t * np.log(total) > sure["outliers"]["threshold"]
        print(f"{path}: {'unsure, ' * bool(unsure)}{bundle['classes'][z.argmax()]} {1 / total:.1%}")
