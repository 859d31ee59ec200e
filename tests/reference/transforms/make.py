#!/usr/bin/env python3
"""Makes the reference outputs of the transforms: what the real torchvision gives, on PIL images.

Takes a photograph in `datasets/photos/`; gives, beside this file, `input.png`, an output for each
case, and `cases.json`: which function of torchvision's, with which parameters, leads to which output.
Run it as `../make.py`, with the same versions:

    /tmp/reference-venv/bin/python tests/reference/transforms/make.py

Two runs give the same bytes.
"""

import json
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import AutoAugment, RandAugment, TrivialAugmentWide, _apply_op

HERE = Path(__file__).resolve().parent
PHOTO = HERE.parent.parent.parent / "datasets" / "photos" / "chelsea.png"
MODES = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR}


def cases() -> list[dict]:
    """Each with `op` and its parameters."""
    listed = [{"op": "vertical_flip"}, {"op": "grayscale"}]
    for mode in ("constant", "edge", "reflect", "symmetric"):
        for padding in ([5, 5, 5, 5], [3, 0, 11, 7]):
            listed.append({"op": "pad", "padding": padding, "mode": mode, "fill": [10, 200, 77]})
    for mode in MODES:
        for angle in (0.0, 7.5, -33.0, 90.0, 135.0, 180.0, 270.0, 301.7):
            for expand in (False, True):
                fill = [0, 0, 0] if angle < 0 else [255, 128, 3]
                listed.append(
                    {"op": "rotate", "angle": angle, "interpolation": mode, "expand": expand, "fill": fill}
                )
    for factor in (0.0, 0.3, 0.85, 1.0, 1.4, 2.6):
        for op in ("brightness", "contrast", "saturation"):
            listed.append({"op": op, "factor": factor})
    for factor in (-0.5, -0.21, 0.0, 0.04, 0.1, 0.37, 0.5):
        listed.append({"op": "hue", "factor": factor})
    for size, sigma in (([3, 3], 0.5), ([5, 5], 1.3), ([23, 23], 0.1), ([23, 23], 2.0), ([1, 7], 1.0), ([9, 3], 4.0)):
        listed.append({"op": "gaussian_blur", "size": size, "sigma": sigma})
    # The operations of the policies, as they call them.
    strengths = {
        "ShearX": (0.09, -0.3, 0.99),
        "ShearY": (0.09, -0.3, 0.99),
        "TranslateX": (5.9, -12.0, 31.0),
        "TranslateY": (5.9, -12.0, 31.0),
        "Rotate": (9.0, -30.0),
        "Brightness": (0.27, -0.9),
        "Color": (0.27, -0.9),
        "Contrast": (0.27, -0.9),
        "Sharpness": (0.27, -0.9, 0.9),
        "Posterize": (8, 6, 4, 2),
        "Solarize": (255.0, 178.5, 0.0),
        "AutoContrast": (0.0,),
        "Equalize": (0.0,),
        "Invert": (0.0,),
    }
    moved = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
    for name, values in strengths.items():
        for value in values:
            for mode in MODES if name in moved else ["nearest"]:
                listed.append({"op": "augment", "kind": name, "magnitude": value, "interpolation": mode})
    return listed


def apply(image: Image.Image, case: dict) -> Image.Image:
    match case:
        case {"op": "vertical_flip"}:
            return F.vflip(image)
        case {"op": "grayscale"}:
            return F.rgb_to_grayscale(image, 3)
        case {"op": "pad", "padding": padding, "mode": mode, "fill": fill}:
            return F.pad(image, padding, tuple(fill) if mode == "constant" else 0, mode)
        case {"op": "rotate", "angle": angle, "interpolation": mode, "expand": expand, "fill": fill}:
            return F.rotate(image, angle, MODES[mode], expand, fill=fill)
        case {"op": "brightness", "factor": factor}:
            return F.adjust_brightness(image, factor)
        case {"op": "contrast", "factor": factor}:
            return F.adjust_contrast(image, factor)
        case {"op": "saturation", "factor": factor}:
            return F.adjust_saturation(image, factor)
        case {"op": "hue", "factor": factor}:
            return F.adjust_hue(image, factor)
        case {"op": "gaussian_blur", "size": size, "sigma": sigma}:
            return F.gaussian_blur(image, size, [sigma, sigma])
        case {"op": "augment", "kind": kind, "magnitude": magnitude, "interpolation": mode}:
            return _apply_op(image, kind, magnitude, MODES[mode], None)
    raise ValueError(case)


def magnitudes() -> dict:
    """The strengths that torchvision's policies know, by name of the operation, for 224 x 200 pixels."""
    spaces = {
        "rand_augment": RandAugment()._augmentation_space(31, (200, 224)),
        "auto_augment": AutoAugment()._augmentation_space(10, (200, 224)),
        "trivial_augment_wide": TrivialAugmentWide()._augmentation_space(31),
    }
    return {
        policy: {name: [values.tolist() if values.ndim else [], signed] for name, (values, signed) in space.items()}
        for policy, space in spaces.items()
    }


def erasing() -> dict:
    """Shares of `RandomErasing.get_params`: nothing erased, mean area and mean height / width."""
    torch.manual_seed(1)
    sample = torch.zeros(3, 224, 224)
    drawn = [T.RandomErasing.get_params(sample, (0.02, 0.33), (0.3, 3.3), [0.0]) for _ in range(20_000)]
    boxes = [(h, w) for _, _, h, w, _ in drawn if (h, w) != (224, 224)]
    return {
        "side": 224,
        "missed": 1 - len(boxes) / len(drawn),
        "area": sum(h * w for h, w in boxes) / len(boxes) / 224**2,
        "ratio": sum(h / w for h, w in boxes) / len(boxes),
    }


def main() -> None:
    for old in HERE.glob("*.png"):
        old.unlink()
    with Image.open(PHOTO) as photo:
        image = ImageOps.fit(photo.convert("RGB"), (67, 50), Image.Resampling.LANCZOS)
    image.save(HERE / "input.png", optimize=True)
    listed, kept = cases(), {}
    for number, case in enumerate(listed):
        result = apply(image, case)
        key = (result.size, result.tobytes())
        if key not in kept:
            kept[key] = f"{number:03}_{case.get('kind', case['op']).lower()}.png"
            result.save(HERE / kept[key], optimize=True)
        case["output"] = kept[key]
    lines = ",\n".join(f"  {json.dumps(case)}" for case in listed)
    rest = json.dumps({"magnitudes": magnitudes(), "erasing": erasing()})[1:]
    (HERE / "cases.json").write_text(f'{{\n "cases": [\n{lines}\n ],\n {rest}\n')


if __name__ == "__main__":
    main()
