"""SimCLR's views in PyTorch: all at once, hand-batched, and one picture after the other, by torchvision."""
import concurrent.futures
import math

import torch
import torch.nn.functional as F

from timing import measure


def grey(x):
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def shift_hue(x, shift):
    """Through HSV, as torchvision does it."""
    r, g, b = x[:, 0:1], x[:, 1:2], x[:, 2:3]
    most, least = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    chroma = (most - least).clamp_min(1e-8)
    hue = torch.where(most == r, (g - b) / chroma % 6,
                      torch.where(most == g, (b - r) / chroma + 2, (r - g) / chroma + 4))
    k = (torch.arange(5, 0, -2, device=x.device).view(1, 3, 1, 1) + hue + 6 * shift) % 6
    return most - (most - least) * torch.minimum(k, 4 - k).clamp(0, 1)


def blur_taps(sigma, taps):
    offsets = torch.arange(taps, device=sigma.device) - taps // 2
    weights = torch.exp(-0.5 * (offsets / sigma.view(-1, 1)) ** 2)
    return weights / weights.sum(1, keepdim=True)


def blur_grouped(x, weights):
    """A convolution with a kernel of its own for each picture: what eager PyTorch does best."""
    n, c, h, w = x.shape
    taps = weights.shape[1]
    rows = weights.repeat_interleave(c, 0)
    x = F.pad(x.reshape(1, n * c, h, w), [taps // 2] * 4, mode="reflect")
    x = F.conv2d(x, rows.view(n * c, 1, 1, taps), groups=n * c)
    return F.conv2d(x, rows.view(n * c, 1, taps, 1), groups=n * c).view(n, c, h, w)


def blur_shifted(x, weights):
    """A sum of shifted pictures: what a compiler fuses into one kernel for each direction."""
    taps, (h, w) = weights.shape[1], x.shape[2:]
    weights = weights.view(*weights.shape, 1, 1, 1)
    x = F.pad(x, [taps // 2, taps // 2, 0, 0], mode="reflect")
    x = sum(x[..., i:i + w] * weights[:, i] for i in range(taps))
    x = F.pad(x, [0, 0, taps // 2, taps // 2], mode="reflect")
    return sum(x[..., i:i + h, :] * weights[:, i] for i in range(taps))


def batched_augmentation(policy, dtype, blur):
    """SimCLR's views of pictures u8 [N,H,W,3], all at once. The colour operations go in one order, not in a random one
    for each view, and nothing is resized by more than bilinear interpolation: less work than libsimclr's."""
    size, strength = policy["size"], policy["jitter"]

    def uniform(n, low, high, device):
        return torch.rand(n, 1, 1, 1, device=device) * (high - low) + low

    def one_view(x):
        n, _, height, width = x.shape
        area, ratio = (torch.rand(n, device=x.device) * (1 - policy["area"]) + policy["area"],
                       torch.exp((torch.rand(n, device=x.device) * 2 - 1) * math.log(4 / 3)))
        w = (area * ratio * height / width).sqrt().clamp_max(1)
        h = (area / ratio * width / height).sqrt().clamp_max(1)
        flip = torch.where(torch.rand(n, device=x.device) < 0.5, -1.0, 1.0)
        left, top = ((torch.rand(n, device=x.device) * 2 - 1) * (1 - extent) for extent in (w, h))
        zero = torch.zeros_like(w)
        theta = torch.stack([w * flip, zero, left, zero, h, top], 1).view(n, 2, 3)
        return F.grid_sample(x, F.affine_grid(theta, [n, 3, size, size], align_corners=False), mode="bilinear",
                             padding_mode="border", align_corners=False)

    def augment(pictures):
        source = pictures.permute(0, 3, 1, 2).float() / 255
        x = torch.cat([one_view(source), one_view(source)])
        n, device = x.shape[0], x.device
        brightness, contrast, saturation = (uniform(n, max(0, 1 - s), 1 + s, device) for s in strength[:3])
        y = (x * brightness).clamp(0, 1)
        mean = grey(y).mean((1, 2, 3), keepdim=True)
        y = (mean + (y - mean) * contrast).clamp(0, 1)
        g = grey(y)
        y = (g + (y - g) * saturation).clamp(0, 1)
        y = shift_hue(y, uniform(n, -strength[3], strength[3], device))
        x = torch.where(uniform(n, 0, 1, device) < 0.8, y, x)
        x = torch.where(uniform(n, 0, 1, device) < policy["grey"], grey(x).expand_as(x), x)
        if policy["blur"]:
            blurred = blur(x, blur_taps(uniform(n, 0.1, 2.0, device), policy["blur"]))
            x = torch.where(uniform(n, 0, 1, device) < 0.5, blurred, x)
        return x.to(dtype).contiguous(memory_format=torch.channels_last)
    return augment


class Pictures(torch.utils.data.Dataset):
    """Two views of each picture, by torchvision's transforms, as a loader asks for them."""

    def __init__(self, pictures, transform):
        self.pictures, self.transform = pictures, transform

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        return self.transform(self.pictures[i]), self.transform(self.pictures[i])


def torchvision_transforms(policy):
    """(torchvision's name, its transforms from a picture, of PIL or u8 [3,H,W], to a view)"""
    import torchvision
    try:
        from torchvision.transforms import v2 as transforms
        name = "torchvision v2, per image"
        to_float = [transforms.ToImage(), transforms.ToDtype(torch.float32, scale=True)]
        from_pil = to_float
    except (ImportError, AttributeError):
        from torchvision import transforms
        name = f"torchvision {torchvision.__version__}, per image"
        to_float, from_pil = [transforms.ConvertImageDtype(torch.float32)], [transforms.ToTensor()]
    b, c, s, h = policy["jitter"]
    steps = [transforms.RandomResizedCrop(policy["size"], scale=(policy["area"], 1), antialias=True),
             transforms.RandomHorizontalFlip(),
             transforms.RandomApply([transforms.ColorJitter(b, c, s, h)], 0.8),
             transforms.RandomGrayscale(policy["grey"])]
    if policy["blur"]:
        steps.append(transforms.RandomApply([transforms.GaussianBlur(policy["blur"], (0.1, 2.0))], 0.5))
    return name, {"tensors": transforms.Compose(steps + to_float), "PIL": transforms.Compose(steps + from_pil)}


def time_torchvision(peers, case, pictures, policy, threads):
    """Picture after picture by as many workers as libsimclr has threads: processes, as loaders do it, or threads; of
    PIL's pictures or of tensors. The fastest counts. What a few pictures take stands for all: the time is proportional.
    """
    try:
        from PIL import Image
        peer, transforms = torchvision_transforms(policy)
    except ImportError:
        return
    if not peers.wants(peer):
        return
    few = pictures[:1024 if policy["size"] <= 32 else 32]
    kinds = {"tensors": [p.permute(2, 0, 1).contiguous() for p in few],
             "PIL": [Image.fromarray(p.numpy()) for p in few]}
    best = {}

    def run(form, call):
        figures = measure([call], "cpu", peers.seconds / 4)
        if figures["seconds"] < best.get("seconds", math.inf):
            best.update(figures, form=form)

    all_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a worker each, not all of them for each picture
    for kind, inputs in kinds.items():
        data = Pictures(inputs, transforms[kind])
        loader = torch.utils.data.DataLoader(data, max(min(256, len(data) // threads), 1), num_workers=threads,
                                             persistent_workers=True)
        run(f"{kind}, {threads} processes", lambda: [batch for batch in loader])
        del loader  # ends its processes
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            run(f"{kind}, {threads} threads",
                lambda: torch.utils.data.default_collate(list(pool.map(data.__getitem__, range(len(data))))))
    torch.set_num_threads(all_threads)
    scale = len(pictures) / len(few)
    peers.print(case, peer, best | {key: best[key] * scale for key in ("seconds", "least", "most")})


# The preset `reference`, and the paper's policy for photographs.
CIFAR = {"size": 32, "area": 0.2, "jitter": (0.4, 0.4, 0.4, 0.1), "grey": 0.1, "blur": 0}
PHOTOGRAPHS = {"size": 224, "area": 0.08, "jitter": (0.8, 0.8, 0.8, 0.2), "grey": 0.2, "blur": 23}


def time_augment(peers, args):
    photographs = args.photographs if args.photographs is not None else 512 if args.device == "cuda" else 64
    for name, count, height, width, policy in (
            ("augment CIFAR, reference", args.pictures, 32, 32, CIFAR),
            ("augment photographs to 224 with blur", photographs, 375, 500, PHOTOGRAPHS)):
        if count == 0:
            continue
        case = f"{name}, 2 x {count}"
        pictures = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, device=args.device)
        peers.report(case, [pictures], batched_augmentation(policy, peers.dtype, blur_grouped),
                     batched_augmentation(policy, peers.dtype, blur_shifted))
        if args.device == "cpu":
            time_torchvision(peers, case, pictures, policy, args.threads)
