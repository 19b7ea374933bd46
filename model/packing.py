"""Smaller files of networks, to keep or to send: `python -m model.packing best_model.pth small.pth`.

Weights are rounded to bfloat16 and the file is compressed: a ResNet-18 of 45 MB takes 18. With --mantissa_bits 3
weights are rounded further, and it takes 12. Zeros take nearly nothing. Everything that reads checkpoints reads such
files too.
"""

import argparse
import functools
import io
import os
import zipfile

import torch

from model.checkpoints import load_network
from model.details import write_details
from support.errors import UserError
from support.files import check_written, replacing

_MANTISSA = 7  # bits, of bfloat16


def pack(source: str, path: str, mantissa_bits: int = _MANTISSA) -> None:
    """Writes the network of a checkpoint (a path, or a name of the model zoo) to `path`, packed.

    mantissa_bits: of the weights of convolutions and linear layers, 1 to 7; vectors always have bfloat16's 7

    Raises UserError as load_network does, or when what was written cannot be read back.
    """
    network = load_network(source)
    state_dict = {
        name: rounded(value, mantissa_bits if value.ndim > 1 else _MANTISSA) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    plain_bytes = io.BytesIO()
    torch.save(state_dict, plain_bytes)
    with replacing(path) as temporary:
        with (
            zipfile.ZipFile(plain_bytes) as plain,
            # level 9 takes minutes for a network with many zeros, and saves nothing without them
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed,
        ):
            for entry in plain.infolist():
                packed.writestr(entry.filename, plain.read(entry))
        check_written(temporary, path, functools.partial(load_network, backbone=network.backbone_name))
        write_details(network.details(), path)


def rounded(values: torch.Tensor, mantissa_bits: int) -> torch.Tensor:
    """Rounds numbers to bfloat16, and to so many of its 7 bits of mantissa: bfloat16, of the same shape."""
    dropped = _MANTISSA - mantissa_bits
    if not dropped:
        return values.to(torch.bfloat16)
    # sign, exponent and mantissa stand one after the other, so a carry raises the exponent, as it should
    bits = values.to(torch.bfloat16).view(torch.int16) + (1 << dropped - 1)
    return (bits & -(1 << dropped)).view(torch.bfloat16)


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m model.packing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="best_model.pth, last_checkpoint.pth or a model zoo's name")
    parser.add_argument("output", help="the file to write")
    parser.add_argument(
        "--mantissa_bits",
        type=int,
        choices=range(1, _MANTISSA + 1),
        default=_MANTISSA,
        help="bits of each weight's mantissa: fewer make smaller files, and change descriptors (default: 7)",
    )
    args = parser.parse_args(argv)
    try:
        pack(args.source, args.output, args.mantissa_bits)
    except UserError as error:
        parser.error(str(error))
    print(f"{args.output}: {os.path.getsize(args.output) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
