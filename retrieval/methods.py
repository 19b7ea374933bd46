"""The methods that an evaluation tests: networks, methods of torch.hub, and descriptors that are given."""

import logging
import os
from argparse import Namespace

from datasets.test_dataset import Resize
from model.checkpoints import initial_network
from model.hub.choices import HubSpec, describe_size
from model.hub.method import HubMethod
from model.network import GeoLocalizationNet
from model.onnx_network import OnnxNetwork, load_describer
from retrieval.given import Given
from support.errors import UserError

logger = logging.getLogger(__name__)

Network = GeoLocalizationNet | HubMethod | OnnxNetwork
Method = Network | Given


def open_methods(args: Namespace, hub: HubSpec | None, compare_hub: HubSpec | None) -> dict[str, Method]:
    """{name: method}: the one or two that an evaluation tests, networks on the CPU.

    args: of eval.py
    hub, compare_hub: what --hub and --compare_hub name

    Raises UserError if one cannot be loaded, or if both are the same.
    """
    if args.compare and args.resume_model and os.path.realpath(args.compare) == os.path.realpath(args.resume_model):
        raise UserError(f"--compare {args.compare} is --resume_model itself: name another network")
    compared = {args.compare: load_describer(args.compare, zoo_location=args.zoo)} if args.compare else {}
    if args.database_descriptors:
        methods = _given(args)
    elif hub:
        methods = {hub.name: HubMethod.load(hub)}
    else:
        methods = _network(args)
    if compare_hub:
        compared = {compare_hub.name: HubMethod.load(compare_hub)}
    return methods | compared


def _network(args: Namespace) -> dict[str, Network]:
    """{name: network}: the one of --resume_model, or an untrained one."""
    if args.resume_model:
        network = load_describer(args.resume_model, *args.expected_architecture, zoo_location=args.zoo)
        return {args.resume_model: network}
    logger.warning(
        "Without --resume_model the network is not trained: its last layer is "
        f"{'fitted to images' if args.whiten else 'random'}, "
        f"and the weights of its backbone are {args.backbone_weights or 'too'}"
    )
    weights = {"weights": args.backbone_weights, "zoo_location": args.zoo}
    return {"untrained": initial_network(args.backbone, args.fc_output_dim, **weights)}


def _given(args: Namespace) -> dict[str, Given]:
    """{path of the database's file: what is in it and in that of the queries}. Raises UserError if they do not fit."""
    pairs = zip(args.database_descriptors, args.queries_descriptors, strict=True)
    given = {database: Given.of(database, queries) for database, queries in pairs}
    if len(given) < len(args.database_descriptors):
        raise UserError(f"--database_descriptors names {args.database_descriptors[0]} twice: name another file")
    return given


def check_dimensions(args: Namespace, methods: dict[str, Method]) -> None:
    """Raises UserError if --dimensions asks for more than a method has."""
    for name, method in methods.items():
        dim = args.whiten_dim or (method.dim if isinstance(method, Given) else method.fc_output_dim)
        if args.dimensions and max(args.dimensions) > dim:
            raise UserError(f"--dimensions {max(args.dimensions)} are more than the {dim} of {name}")


def describe_method(name: str, method: Method, args: Namespace, compared: bool) -> str:
    """The log's line of a method that is tested. compared: whether there is another one."""
    if isinstance(method, Given):
        return f"Descriptors: {method.dim}-D, of {method.database} and {method.queries}"
    dim = f"{args.whiten_dim or method.fc_output_dim}-D descriptors"
    if isinstance(method, HubMethod):
        fitted = ", behind which --whiten fits a layer" if args.whiten else ""
        return f"Method: {name} with {dim}{fitted}, {describe_images(image_size(method, args))}"
    return (
        f"Network: {method.backbone_name} with {dim}"
        + (", whose last layer --whiten fits" if args.whiten else "")
        + (f", {name}" if compared else "")
    )


def image_size(method: Method, args: Namespace) -> Resize:
    """The size that a method's images are brought to."""
    size = method.spec.image_size if isinstance(method, HubMethod) else None
    return size or (args.image_size if args.resize_test_imgs else None)


def describe_images(size: Resize) -> str:
    """What logs and pages say of the size of images."""
    return f"images: {describe_size(size)}" if size else "images of their own size"
