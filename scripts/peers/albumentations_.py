"""PyTorch's DataLoader with OpenCV and Albumentations."""

import os
import time

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server at import

import albumentations
import cv2
import torch
from albumentations.pytorch import ToTensorV2

import peer


class Images(torch.utils.data.Dataset):
    def __init__(self, root):
        self.paths, self.labels = peer.files(root)
        self.transform = albumentations.Compose(
            [
                # The only antialiased way down that OpenCV has: the area's mean.
                albumentations.RandomResizedCrop(
                    (peer.SIZE, peer.SIZE), peer.SCALE, peer.RATIO, area_for_downscale="image"
                ),
                albumentations.HorizontalFlip(),
                albumentations.Normalize(peer.MEAN, peer.STD),
                ToTensorV2(),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        image = cv2.cvtColor(cv2.imread(self.paths[index]), cv2.COLOR_BGR2RGB)
        return self.transform(image=image)["image"], self.labels[index]


def one_thread(_):
    cv2.setNumThreads(0)  # as Albumentations advises: the workers are the threads


def build(options):
    data = Images(options.root)
    start = time.perf_counter()
    loader = torch.utils.data.DataLoader(
        data,
        options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        worker_init_fn=one_thread,
        persistent_workers=True,
        prefetch_factor=options.depth,
    )
    return lambda _: loader, start


if __name__ == "__main__":
    peer.run(["albumentations", "opencv-python-headless", "torch"], build)
