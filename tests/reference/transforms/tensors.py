#!/usr/bin/env python3
"""Makes `tensors.json`, beside this file: what torchvision's v2 transforms give on tensors and batches.

Run it as `make.py`, with the same versions. Two runs give the same bytes.
"""

import json
from pathlib import Path

import torch
from torchvision.transforms import v2 as T
from torchvision.transforms.v2 import functional as F

CLASSES = 3


def tensor(values: torch.Tensor) -> dict:
    """Shape and values, in order."""
    return {"shape": list(values.shape), "values": [round(value, 6) for value in values.double().flatten().tolist()]}


def mixed(mix: T.Transform, images: torch.Tensor, labels: torch.Tensor, **drawn) -> dict:
    """Images and labels, with these draws instead of random ones."""
    drawn |= {"labels": labels, "batch_size": len(labels)}
    return {"images": tensor(mix.transform(images, drawn)), "labels": tensor(mix.transform(labels, drawn))}


def main() -> None:
    images = torch.randint(256, (4, 3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.tensor([0, 2, 1, 2])
    floats = images.float()
    height, width = images.shape[-2:]
    cases = [
        {"op": "mix_up", "share": share, **mixed(T.MixUp(num_classes=CLASSES), floats, labels, lam=share)}
        for share in (0.0, 0.3, 0.75, 1.0)
    ]
    for box in ([1, 2, 4, 6], [0, 0, 5, 6], [3, 3, 3, 5]):
        left, top, right, bottom = box
        share = 1 - (right - left) * (bottom - top) / (width * height)
        result = mixed(T.CutMix(num_classes=CLASSES), floats, labels, box=box, lam_adjusted=share)
        cases.append({"op": "cut_mix", "box": box, **result})

    def add(op: str, result: torch.Tensor, **parameters) -> None:
        cases.append({"op": op, **parameters, "images": tensor(result)})

    add("cast", F.to_dtype(images, torch.float32, scale=False))
    mean, std = [100.0, 120.5, 3.25], [50.0, 2.0, 64.5]
    add("normalize", F.normalize(floats, mean, std), mean=mean, std=std)
    for size in ([3, 4], [6, 5], [9, 11], [2, 3]):
        for dtype, given in (("uint8", images), ("float32", floats)):
            add("resize", F.resize(given, size, antialias=True), size=size, dtype=dtype)
    add("crop", F.crop(images, 2, 1, 3, 4), box=[1, 2, 5, 5])
    add("horizontal_flip", F.horizontal_flip(images))
    add("vertical_flip", F.vertical_flip(images))
    add("pad", F.pad(images, [1, 2, 3, 4], fill=7), padding=[1, 2, 3, 4], value=7)
    whole = {"classes": CLASSES, "labels": labels.tolist(), "images": tensor(images)}
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases)
    text = f'{{\n "batch": {json.dumps(whole)},\n "cases": [\n{lines}\n ]\n}}\n'
    Path(__file__).with_name("tensors.json").write_text(text)


if __name__ == "__main__":
    main()
