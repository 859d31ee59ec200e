"""PyTorch's DataLoader with torchvision on PIL images: the usual way."""

import time

import torch
from torchvision import datasets, transforms

import peer


def build(options):
    data = datasets.ImageFolder(
        options.root,
        transforms.Compose(
            [
                transforms.RandomResizedCrop(peer.SIZE, peer.SCALE, peer.RATIO),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(peer.MEAN, peer.STD),
            ]
        ),
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
    peer.run(["torch", "torchvision", "pillow"], build)
