"""PyTorch's DataLoader with torchvision on tensors: `decode_jpeg` and the v2 transforms."""

import time

import torch
from torchvision import datasets, io
from torchvision.transforms import v2

import peer


def load(path):
    return io.decode_jpeg(io.read_file(path), io.ImageReadMode.RGB)


def build(options):
    data = datasets.ImageFolder(
        options.root,
        v2.Compose(
            [
                v2.RandomResizedCrop(peer.SIZE, peer.SCALE, peer.RATIO, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(peer.MEAN, peer.STD, inplace=True),
            ]
        ),
        loader=load,
    )
    start = time.perf_counter()
    loader = torch.utils.data.DataLoader(
        data,
        options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=True,
        prefetch_factor=options.depth,
    )
    return lambda _: loader, start


if __name__ == "__main__":
    peer.run(["torch", "torchvision"], build)
