"""Small samples with PyTorch's DataLoader: one at a time, or a batch at a time.

Forms: `samples` is a TensorDataset whose samples are collated; `batches` gives the dataset all
indices of a batch, which takes them with one `index_select`.
"""

import time

import torch

import peer


class Samples(torch.utils.data.Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index].float(), self.labels[index]


class Batches(Samples):
    def __getitem__(self, indices):
        indices = torch.tensor(indices)
        images = self.images.index_select(0, indices).float()
        return images, self.labels.index_select(0, indices)


def build(options):
    images, labels = map(torch.from_numpy, peer.small(options.root))
    ahead = {
        "num_workers": options.workers,
        "persistent_workers": True,
        "prefetch_factor": options.depth,
    }
    start = time.perf_counter()
    if options.form == "samples":
        loader = torch.utils.data.DataLoader(
            Samples(images, labels), options.batch_size, shuffle=True, drop_last=True, **ahead
        )
    else:
        data = Batches(images, labels)
        order = torch.utils.data.RandomSampler(data)
        loader = torch.utils.data.DataLoader(
            data,
            batch_size=None,
            sampler=torch.utils.data.BatchSampler(order, options.batch_size, drop_last=True),
            **ahead,
        )
    return lambda _: loader, start


if __name__ == "__main__":
    peer.run(["torch"], build, peer.SMALL)
