"""Times torchvision's transforms, on PIL images and on tensors, on one thread.

The same work on the same photograph as `crates/preproc/benches/transforms.rs`, under its names.
Prints one line of JSON: the version, and median seconds of a call by name and path. What a call
costs includes Python's own part of it, as in a training program.
"""

import io
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import InterpolationMode as Mode
from torchvision.transforms import v2 as T
from torchvision.transforms.v2 import functional as F

PHOTO = Path(__file__).parent.parent.parent / "tests/reference/inputs/jpeg_500x375.jpg"
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CALLS, LEAST_S, LONGEST_S = 300, 0.1, 2.0


def augment(**options):
    """The affine map of one operation of the policies."""
    whole = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | options
    return lambda image: F.affine(image, **whole, interpolation=Mode.NEAREST, fill=None)


DEGREES = 11.31  # of a shear by 0.2
SMALL = {
    "horizontal_flip": F.horizontal_flip,
    "vertical_flip": F.vertical_flip,
    **{
        f"pad, {mode}": lambda image, mode=mode: F.pad(image, [16] * 4, 0, mode)
        for mode in ("constant", "edge", "reflect", "symmetric")
    },
    "rotation, nearest": lambda image: F.rotate(image, 15.0, Mode.NEAREST),
    "rotation, bilinear": lambda image: F.rotate(image, 15.0, Mode.BILINEAR),
    "brightness": lambda image: F.adjust_brightness(image, 1.3),
    "contrast": lambda image: F.adjust_contrast(image, 1.3),
    "saturation": lambda image: F.adjust_saturation(image, 1.3),
    "hue": lambda image: F.adjust_hue(image, 0.1),
    "color_jitter": T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "grayscale": lambda image: F.rgb_to_grayscale(image, 3),
    "gaussian_blur, 5": lambda image: F.gaussian_blur(image, [5, 5], [1.5, 1.5]),
    "gaussian_blur, 23": lambda image: F.gaussian_blur(image, [23, 23], [1.5, 1.5]),
    "shear_x": augment(shear=[DEGREES, 0.0]),
    "shear_y": augment(shear=[0.0, DEGREES]),
    "translate_x": augment(translate=[20, 0]),
    "translate_y": augment(translate=[0, 20]),
    "sharpness": lambda image: F.adjust_sharpness(image, 1.5),
    "posterize": lambda image: F.posterize(image, 4),
    "solarize": lambda image: F.solarize(image, 128),
    "auto_contrast": F.autocontrast,
    "equalize": F.equalize,
    "invert": F.invert,
    "rand_augment": T.RandAugment(),
    "auto_augment": T.AutoAugment(),
    "trivial_augment_wide": T.TrivialAugmentWide(),
}
WHOLE = {
    # A crop of a tensor is a view: what follows pays for it, unless it is copied.
    "center_crop": lambda image: copied(F.center_crop(image, [SIDE, SIDE])),
    "resize": lambda image: F.resize(image, [SIDE, SIDE], Mode.BILINEAR, antialias=True),
    "random_resized_crop": T.RandomResizedCrop(SIDE, antialias=True),
}
NORMALIZE = T.Normalize(MEAN, STD)


def copied(image):
    return image.contiguous() if isinstance(image, torch.Tensor) else image


def to_tensor(image):
    return NORMALIZE(F.to_dtype(F.to_image(image), torch.float32, scale=True))


def median_s(call):
    """Median time of a call, of many."""
    call()
    times, begin = [], time.perf_counter()
    while (spent := time.perf_counter() - begin) < LONGEST_S:
        if len(times) >= CALLS and spent >= LEAST_S:
            break
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = PHOTO.read_bytes()
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    middle = F.center_crop(whole, [SIDE, SIDE])
    found = {}

    def time_both(name, work, image):
        tensor = F.pil_to_tensor(image)
        found[name] = {
            "pil": median_s(lambda: work(image)),
            "tensor": median_s(lambda: work(tensor)),
        }

    found["decode"] = {
        "pil": median_s(lambda: Image.open(io.BytesIO(data)).convert("RGB")),
        "tensor": median_s(lambda: decode_jpeg(encoded, ImageReadMode.RGB)),
    }
    for name, work in WHOLE.items():
        time_both(name, work, whole)
    for name, work in SMALL.items():
        time_both(name, work, middle)
    time_both("to_tensor", to_tensor, middle)
    versions = {"torchvision": torchvision.__version__, "torch": torch.__version__}
    json.dump({"version": versions, "call_s": found}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
