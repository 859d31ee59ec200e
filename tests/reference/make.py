#!/usr/bin/env python3
"""Makes the reference images: what the real torchvision gives, on PIL images.

Takes the photographs in `datasets/photos/`; gives, beside this file, `inputs/` (small images in every
format that `preproc` reads), `outputs/` (what torchvision makes of them), `manifest.json` (which
operations lead from which input to which output) and `random_resized_crop.json` (statistics of
torchvision's draws). `README.md` says how to read them.

Needs Python 3.11 and the versions in `requirements.txt`: torch 2.11.0, torchvision 0.26.0,
numpy 2.4.6, pillow 13.0.0. From the top of the repository:

    python3 -m venv /tmp/reference-venv
    /tmp/reference-venv/bin/pip install -r tests/reference/requirements.txt
    /tmp/reference-venv/bin/python tests/reference/make.py           # writes everything anew, a minute or two
    /tmp/reference-venv/bin/python tests/reference/make.py --check   # compares with what is committed

Two runs give the same bytes.
"""

import argparse
import importlib.metadata
import io
import json
import shutil
import struct
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, features
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as F

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PHOTOS = ROOT / "datasets" / "photos"
PINNED = {"torch": "2.11.0", "torchvision": "0.26.0", "numpy": "2.4.6", "pillow": "13.0.0"}
MADE = ["inputs", "outputs", "manifest.json", "random_resized_crop.json"]

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
EXIF_ORIENTATION = 0x0112


# ---------------------------------------------------------------------------------------------- inputs


def photo(name: str, width: int, height: int) -> Image.Image:
    """A photograph, cut to this shape about its centre and scaled to this size, RGB."""
    with Image.open(PHOTOS / name) as image:
        return ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.LANCZOS)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The image as a file of this format."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(image: Image.Image, **options) -> bytes:
    return encoded(image, "PNG", optimize=True, **options)


def jpeg(image: Image.Image, **options) -> bytes:
    return encoded(image, "JPEG", **{"quality": 92, "optimize": True, **options})


def jpeg_oriented(upright: Image.Image, orientation: int) -> bytes:
    """A JPEG that stores the pixels turned and says so in EXIF, as a camera does."""
    # What a reader does for each orientation; stored here is the inverse. All but 6 and 8 undo themselves.
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return jpeg(upright.transpose(inverse[orientation]), exif=exif)


def cmyk_of(image: Image.Image) -> Image.Image:
    """CMYK with black in it (PIL's own conversion leaves K at zero)."""
    cmy = 255.0 - np.asarray(image, dtype=np.float64)
    black = 0.7 * cmy.min(axis=2, keepdims=True)
    cmy = (cmy - black) * 255.0 / (255.0 - black)
    planes = np.concatenate([cmy, black], axis=2).round().astype(np.uint8)
    return Image.merge("CMYK", [Image.fromarray(planes[:, :, i]) for i in range(4)])


def jpeg_ycck(cmyk: Image.Image) -> bytes:
    """An Adobe YCCK JPEG. PIL writes CMYK only, so: give it the YCCK planes as if they were CMYK
    (inverted, because PIL inverts CMYK as it writes), then set the Adobe marker's transform to 2."""
    c, m, y, black = cmyk.split()
    ycc = Image.merge("RGB", [c, m, y]).convert("YCbCr").split()
    stored = Image.merge("CMYK", [ImageOps.invert(plane) for plane in ycc] + [black])
    data = bytearray(jpeg(stored, subsampling=0))
    transform = data.index(b"Adobe") + len(b"Adobe") + 6
    assert data[transform] == 0
    data[transform] = 2
    return bytes(data)


def png_16_bit(samples: np.ndarray) -> bytes:
    """A 16-bit PNG of [H, W] grey or [H, W, 3] RGB samples; PIL cannot write the latter. Filter: Sub."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2").reshape(height, width, -1)
    pixel = rows.view(np.uint8).reshape(height, width, -1)
    left = np.zeros_like(pixel)
    left[:, 1:] = pixel[:, :-1]
    filtered = (pixel - left).reshape(height, -1)
    raw = b"".join(b"\x01" + row.tobytes() for row in filtered)
    colour_type = 0 if samples.ndim == 2 else 2

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(raw, 9)),
            chunk(b"IEND", b""),
        ]
    )


def sixteen_bits(image: Image.Image) -> np.ndarray:
    """16-bit samples whose low bytes carry something: the 8-bit ones, blurred a little along x."""
    wide = np.asarray(image, dtype=np.float64) * 257.0
    return (0.75 * wide + 0.25 * np.roll(wide, 1, axis=1)).round().astype(np.uint16)


def alpha_of(width: int, height: int) -> Image.Image:
    """An alpha channel with all levels, and colour left in under alpha 0."""
    ramp = np.linspace(0, 255, width).round().astype(np.uint8)
    return Image.fromarray(np.broadcast_to(ramp, (height, width)).copy())


def inputs() -> dict[str, bytes]:
    """Every input file: name and bytes."""
    cup = photo("coffee.png", 131, 97)
    alpha = alpha_of(131, 97)
    rgba = cup.copy()
    rgba.putalpha(alpha)
    grey_alpha = Image.merge("LA", [cup.convert("L"), alpha])
    palette = photo("coffee.png", 131, 127).quantize(64, Image.Quantize.MEDIANCUT)
    cmyk = cmyk_of(photo("coffee.png", 131, 117))
    upright = photo("astronaut.png", 47, 35)
    files = {
        "jpeg_420.jpg": jpeg(photo("chelsea.png", 221, 179), subsampling=2),
        "jpeg_422.jpg": jpeg(photo("rocket.jpg", 211, 163), subsampling=1, restart_marker_rows=1),
        "jpeg_444.jpg": jpeg(photo("coffee.png", 201, 187), subsampling=0),
        "jpeg_rgb.jpg": jpeg(photo("coffee.png", 101, 103), subsampling=0, keep_rgb=True),
        "jpeg_progressive.jpg": jpeg(photo("astronaut.png", 163, 181), subsampling=2, progressive=True),
        "jpeg_grey.jpg": jpeg(photo("hubble_deep_field.jpg", 201, 173).convert("L")),
        "jpeg_cmyk.jpg": jpeg(cmyk),
        "jpeg_ycck.jpg": jpeg_ycck(cmyk),
        "jpeg_500x375.jpg": jpeg(photo("coffee.png", 500, 375), subsampling=2),
        "jpeg_exif6.jpg": jpeg_oriented(photo("astronaut.png", 103, 131), 6),
        "jpeg_1x1.jpg": jpeg(Image.new("RGB", (1, 1), (200, 100, 50))),
        "jpeg_40x300.jpg": jpeg(photo("rocket.jpg", 40, 300), subsampling=2),
        "jpeg_150x100.jpg": jpeg(photo("chelsea.png", 150, 100), subsampling=2),
        "png_rgb.png": png(photo("chelsea.png", 203, 151)),
        "png_rgba.png": png(rgba),
        "png_grey.png": png(photo("chelsea.png", 161, 123).convert("L")),
        "png_grey_alpha.png": png(grey_alpha),
        "png_palette.png": png(palette),
        "png_palette_transparent.png": png(cup.quantize(32), transparency=bytes(range(0, 256, 8))),
        "png_bilevel.png": png(photo("astronaut.png", 131, 121).convert("1")),
        "png_grey16.png": png_16_bit(sixteen_bits(cup.convert("L"))),
        "png_rgb16.png": png_16_bit(sixteen_bits(cup)),
        "png_1x1.png": png(Image.new("RGB", (1, 1), (10, 200, 30))),
        "png_301x38.png": png(photo("flower.jpg", 301, 38)),
        "webp_lossy.webp": encoded(photo("coffee.png", 133, 127), "WEBP", quality=85, method=6),
        "webp_lossless.webp": encoded(cup, "WEBP", lossless=True, method=6),
        "webp_rgba.webp": encoded(rgba, "WEBP", lossless=True, exact=True, method=6),
        "bmp_rgb.bmp": encoded(cup, "BMP"),
    }
    for orientation in (2, 3, 4, 5, 7, 8):
        files[f"jpeg_exif{orientation}.jpg"] = jpeg_oriented(upright, orientation)
    return files


# ---------------------------------------------------------------------------------------------- operations


# An operation as the manifest has it, e.g. {"op": "hflip"}. Decoding to RGB comes before the first.


def resize_short(size: int) -> dict:
    return {"op": "resize_short", "size": size}


def resize(height: int, width: int) -> dict:
    return {"op": "resize", "height": height, "width": width}


def center_crop(height: int, width: int | None = None) -> dict:
    return {"op": "center_crop", "height": height, "width": width or height}


def resized_crop(top: int, left: int, height: int, width: int, size: int) -> dict:
    box = {"top": top, "left": left, "height": height, "width": width}
    return {"op": "resized_crop", **box, "out_height": size, "out_width": size}


HFLIP = {"op": "hflip"}
EXIF_TRANSPOSE = {"op": "exif_transpose"}
NORMALIZE = {"op": "to_tensor_normalize", "mean": MEAN, "std": STD}


def load(path: Path) -> Image.Image:
    """The image as torchvision's ImageFolder loads it (`pil_loader`)."""
    with Image.open(path) as image:
        return image.convert("RGB")


def apply(path: Path, ops: list[dict]) -> Image.Image | torch.Tensor:
    """Runs the operations with torchvision's own functions."""
    if EXIF_TRANSPOSE in ops:
        assert ops[0] == EXIF_TRANSPOSE
        with Image.open(path) as image:
            value = ImageOps.exif_transpose(image).convert("RGB")
        ops = ops[1:]
    else:
        value = load(path)
    for op in ops:
        match op:
            case {"op": "resize_short", "size": size}:
                value = F.resize(value, [size], F.InterpolationMode.BILINEAR, antialias=True)
            case {"op": "resize", "height": h, "width": w}:
                value = F.resize(value, [h, w], F.InterpolationMode.BILINEAR, antialias=True)
            case {"op": "center_crop", "height": h, "width": w}:
                value = F.center_crop(value, [h, w])
            case {"op": "resized_crop", "top": top, "left": left, "height": h, "width": w, **out}:
                size = [out["out_height"], out["out_width"]]
                value = F.resized_crop(value, top, left, h, w, size, F.InterpolationMode.BILINEAR, antialias=True)
            case {"op": "hflip"}:
                value = F.hflip(value)
            case {"op": "to_tensor_normalize", "mean": mean, "std": std}:
                value = F.normalize(F.to_tensor(value), mean, std)
            case _:
                raise ValueError(f"unknown operation: {op}")
    return value


# ---------------------------------------------------------------------------------------------- cases


GREY16_ODD = (
    "PIL's own: it opens a 16-bit grey PNG as `I;16` and converts that to RGB by clipping at 255, so nearly "
    "every pixel is white. Do not imitate; compare with the case of this name and `.sane`."
)
GREY16_SANE = "not PIL's: the high byte of each sample (`v >> 8`), as PIL does for 16-bit RGB."


def cases(names: list[str]) -> list[dict]:
    """Every case: name, input (from the top of the repository), operations, and a note where needed."""
    made = {name: f"tests/reference/inputs/{name}" for name in names}
    found = {path.name: f"datasets/photos/{path.name}" for path in sorted(PHOTOS.glob("*.*g"))}
    listed: list[dict] = []

    def add(source: str, what: str, ops: list[dict], compare: bool = True, note: str | None = None):
        path = made.get(source) or found[source]
        case = {"name": f"{Path(source).stem}.{what}", "input": path, "ops": ops, "compare": compare}
        listed.append(case | ({"note": note} if note else {}))

    eval_small = [resize_short(64), center_crop(56)]
    eval_large = [resize_short(256), center_crop(224)]

    # Plain decode, and a small evaluation transform, of everything.
    for name in names:
        steps = [("decode", [])]
        if name == "jpeg_500x375.jpg":  # only to keep the repository small: its resized forms are below
            steps = []
        if "exif" not in name:
            steps.append(("eval_64_56", eval_small))
        for what, ops in steps:
            if name == "png_grey16.png":
                add(name, what, ops, compare=False, note=GREY16_ODD)
                add(name, f"{what}.sane", ops, note=GREY16_SANE)
            else:
                add(name, what, ops)
    for name in found:
        add(name, "eval_64_56", eval_small)
    for name in ("jpeg_500x375.jpg", "chelsea.png", "jpeg_150x100.jpg"):
        add(name, "eval_256_224", eval_large)

    # EXIF orientation.
    for name in names:
        if "exif" in name:
            add(name, "upright", [EXIF_TRANSPOSE])
    add("jpeg_exif6.jpg", "upright_eval_64_56", [EXIF_TRANSPOSE, *eval_small])
    add("jpeg_420.jpg", "upright_without_exif", [EXIF_TRANSPOSE, resize(20, 30)])

    # Resize.
    add("png_rgb.png", "resize_down", [resize(67, 91)])
    add("png_rgb.png", "resize_squash", [resize(29, 180)])
    add("png_rgb.png", "resize_up_and_down", [resize(171, 60)])
    add("png_rgb.png", "resize_same", [resize(151, 203)])
    add("png_rgb.png", "resize_to_1x1", [resize(1, 1)])
    add("png_rgb.png", "resize_short_same", [resize_short(151)])
    add("jpeg_150x100.jpg", "resize_up", [resize(143, 177)])
    add("china.jpg", "resize_far_down", [resize(48, 40)])
    add("hubble_deep_field.jpg", "resize_far_down", [resize(33, 71)])
    add("jpeg_40x300.jpg", "resize_short", [resize_short(31)])
    add("png_301x38.png", "resize_short", [resize_short(31)])
    add("png_1x1.png", "resize_up", [resize(5, 9)])

    # Centre crop: all roundings (torchvision rounds half to even), and crops larger than the image.
    for height, width in (
        [(53, 59), (52, 58), (51, 57), (50, 56), (49, 55), (48, 54), (1, 1)]  # smaller
        + [(64, 72), (63, 70), (71, 40), (31, 69), (53, 90), (54, 59)]  # larger, or larger one way
    ):
        add("png_rgb.png", f"center_crop_{height}x{width}", [resize(53, 59), center_crop(height, width)])
    add("jpeg_150x100.jpg", "center_crop_larger", [center_crop(101, 153)])
    add("png_1x1.png", "center_crop_larger", [center_crop(4, 3)])

    # Crop and resize, the box given as a random draw would.
    for number, box in enumerate(
        [
            (0, 0, 300, 451, 64),  # all of it
            (31, 57, 201, 222, 64),  # inside
            (10, 101, 104, 105, 64),  # 8% of the area
            (237, 390, 63, 61, 64),  # the bottom right corner
            (120, 200, 20, 17, 48),  # scaled up
            (77, 99, 5, 7, 32),  # scaled up a lot
            (299, 450, 1, 1, 8),  # one pixel
            (0, 222, 300, 3, 32),  # three columns
        ]
    ):
        add("chelsea.png", f"resized_crop_{number}", [resized_crop(*box)])
    for number, box in enumerate([(0, 0, 375, 500, 64), (40, 111, 262, 301, 96), (113, 7, 141, 133, 64)]):
        add("jpeg_500x375.jpg", f"resized_crop_{number}", [resized_crop(*box)])
    add("jpeg_grey.jpg", "resized_crop", [resized_crop(17, 41, 150, 133, 48)])
    add("jpeg_progressive.jpg", "resized_crop", [resized_crop(33, 1, 147, 160, 48)])
    add("jpeg_1x1.jpg", "resized_crop", [resized_crop(0, 0, 1, 1, 16)])

    # Flip, and the training transform with its box and flip fixed.
    add("png_rgb.png", "hflip", [resize(31, 53), HFLIP])
    add("png_1x1.png", "hflip", [HFLIP])
    add("jpeg_150x100.jpg", "hflip", [HFLIP])
    add("chelsea.png", "train_64", [resized_crop(31, 57, 201, 222, 64), HFLIP])

    # All the way to the float tensor.
    add("jpeg_420.jpg", "eval_64_56_normalized", [*eval_small, NORMALIZE])
    add("chelsea.png", "train_48_normalized", [resized_crop(31, 57, 201, 222, 48), HFLIP, NORMALIZE])
    return listed


def sane_grey16(path: Path, ops: list[dict], scratch: Path) -> Image.Image | torch.Tensor:
    """The operations on the high bytes of a 16-bit grey PNG."""
    with Image.open(path) as image:
        high = (np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8)
    eight_bits = scratch / "grey8.png"
    Image.fromarray(high).save(eight_bits)
    return apply(eight_bits, ops)


def write_outputs(out: Path, listed: list[dict]) -> None:
    """Runs every case and writes its output. Cases with equal outputs share one file, and where the
    output is the input itself (plain 8-bit RGB PNGs, decoded), it names that.

    Adds to each case `output` (from the top of the repository) and the `shape` of what it holds.
    """
    kept = {path.read_bytes(): f"inputs/{path.name}" for path in sorted((out / "inputs").glob("*.png"))}
    for case in listed:
        path = ROOT / case["input"]
        if case["input"].startswith("tests/reference/inputs/"):
            path = out / "inputs" / path.name
        if case["name"].endswith(".sane"):
            with tempfile.TemporaryDirectory() as scratch:
                value = sane_grey16(path, case["ops"], Path(scratch))
        else:
            value = apply(path, case["ops"])
        if isinstance(value, torch.Tensor):
            file = io.BytesIO()
            np.save(file, value.numpy())
            data, suffix, shape = file.getvalue(), "npy", list(value.shape)
        else:
            assert value.mode == "RGB"
            data, suffix, shape = png(value), "png", [value.height, value.width, 3]
        if data not in kept:
            kept[data] = f"outputs/{case['name']}.{suffix}"
            (out / kept[data]).write_bytes(data)
        case["output"] = f"tests/reference/{kept[data]}"
        case["shape"] = shape


# ---------------------------------------------------------------------------------------------- random draws


DRAWS = 100_000
QUANTILES = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999]
SCALE, RATIO = (0.08, 1.0), (3.0 / 4.0, 4.0 / 3.0)


def draw(image: Image.Image, scale: tuple[float, float]) -> tuple[list[int], bool]:
    """One box `[top, left, height, width]` from torchvision, and whether it is the fallback: only a try
    that succeeds draws a position, with `torch.randint`."""
    positions = 0
    real = torch.randint

    def counted(*args, **kwargs):
        nonlocal positions
        positions += 1
        return real(*args, **kwargs)

    torch.randint = counted
    try:
        box = RandomResizedCrop.get_params(image, list(scale), list(RATIO))
    finally:
        torch.randint = real
    return list(box), positions == 0


def summary(values: np.ndarray) -> dict | None:
    if values.size == 0:
        return None
    levels = [float(f"{value:.6g}") for value in np.quantile(values, QUANTILES)]
    return {"mean": float(f"{values.mean():.6g}"), "std": float(f"{values.std():.6g}"), "quantiles": levels}


def random_resized_crop() -> dict:
    """Statistics of `RandomResizedCrop.get_params`, and the fallback box of many sizes."""
    sizes = []
    for width, height in [(500, 375), (333, 500), (100, 400), (5, 4), (1, 1), (30, 2000), (2000, 30)]:
        torch.manual_seed(20240)
        image = Image.new("L", (width, height))
        drawn = [draw(image, SCALE) for _ in range(DRAWS)]
        boxes = np.array([box for box, _ in drawn], dtype=np.float64)
        fallback = np.array([fell for _, fell in drawn])
        top, left, high, wide = boxes[~fallback].T
        free_y, free_x = height - high, width - wide
        sizes.append(
            {
                "width": width,
                "height": height,
                "draws": DRAWS,
                "fallback_share": float(fallback.mean()),
                "drawn": {
                    "area_fraction": summary(high * wide / (height * width)),
                    "aspect_ratio": summary(wide / high),
                    "relative_top": summary(top[free_y > 0] / free_y[free_y > 0]),
                    "relative_left": summary(left[free_x > 0] / free_x[free_x > 0]),
                },
            }
        )
    fallbacks = []
    for width, height in [
        (500, 375), (333, 500), (30, 2000), (2000, 30), (1, 1), (1, 100), (100, 1), (2, 3), (3, 2), (7, 500),
        (501, 10), (100, 400), (401, 101), (400, 300), (401, 300), (300, 400), (300, 401), (640, 427), (299, 100),
    ]:  # fmt: skip
        # A box of a hundred times the image's area never fits, so every try fails.
        box, fell = draw(Image.new("L", (width, height)), (100.0, 100.0))
        assert fell
        top, left, high, wide = box
        fallbacks.append({"image": [width, height], "top": top, "left": left, "height": high, "width": wide})
    return {
        "scale": SCALE,
        "ratio": RATIO,
        "tries": 10,
        "quantile_levels": QUANTILES,
        "sizes": sizes,
        "fallback_boxes": fallbacks,
    }


# ---------------------------------------------------------------------------------------------- the whole


def json_lines(value: dict, *lists: str) -> str:
    """JSON with one line for each key, and for each entry of these lists: small, and its diffs readable."""

    def text(key: str, held) -> str:
        if key not in lists:
            return json.dumps(held)
        return "[\n" + ",\n".join(f"  {json.dumps(entry)}" for entry in held) + "\n ]"

    body = ",\n".join(f" {json.dumps(key)}: {text(key, held)}" for key, held in value.items())
    return f"{{\n{body}\n}}\n"


def make(out: Path) -> None:
    """Writes everything in `MADE` into the folder `out`."""
    for folder in ("inputs", "outputs"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    files = inputs()
    for name, data in files.items():
        (out / "inputs" / name).write_bytes(data)
    listed = cases(list(files))
    write_outputs(out, listed)
    libraries = {name: features.version(name) for name in ("libjpeg_turbo", "webp", "zlib")}
    tolerance = {"mean_abs": 1.0, "within": 4, "share_within": 0.999}
    manifest = {"versions": PINNED | libraries, "tolerance": tolerance, "cases": listed}
    (out / "manifest.json").write_text(json_lines(manifest, "cases"))
    (out / "random_resized_crop.json").write_text(json_lines(random_resized_crop(), "sizes", "fallback_boxes"))


def same(a: Path, b: Path) -> bool:
    """Equal bytes, or, since compressors differ between machines, PNGs of equal pixels."""
    if not a.exists() or not b.exists():
        return False
    if a.read_bytes() == b.read_bytes():
        return True
    if a.suffix != ".png":
        return False
    with Image.open(a) as left, Image.open(b) as right:
        return left.mode == right.mode and np.array_equal(np.asarray(left), np.asarray(right))


def check() -> int:
    """Makes everything in a temporary folder and compares it with what is here."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        make(fresh)
        names: set[Path] = set()
        for top in (fresh, HERE):
            for name in MADE:
                path = top / name
                found = path.rglob("*") if path.is_dir() else [path]
                names |= {file.relative_to(top) for file in found}
        different = sorted(str(name) for name in names if not same(fresh / name, HERE / name))
    for name in different:
        print(f"differs: {name}")
    print(f"{len(names)} files, {len(different)} differ")
    return 1 if different else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="make the reference images of torchvision")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with what is here")
    arguments = parser.parse_args()
    for name, wanted in PINNED.items():
        got = importlib.metadata.version(name)
        if got != wanted:
            print(f"{name} is {got}, not {wanted}\nhint: pip install -r {HERE}/requirements.txt", file=sys.stderr)
            return 1
    # A palette with an alpha for each entry: PIL drops it when it converts to RGB, and warns.
    warnings.filterwarnings("ignore", message="Palette images with Transparency")
    torch.set_num_threads(1)
    if arguments.check:
        return check()
    make(HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
