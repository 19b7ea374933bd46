"""What is published: models, their addresses and their recalls."""

COSPLACE = "https://github.com/gmberton/CosPlace/releases/download/v1.0/{}_cosplace.pth"
EIGENPLACES = "https://github.com/gmberton/EigenPlaces/releases/download/v1.0/{}_eigenplaces.pth"
COSPLACE_DIMS = {
    "VGG16": (64, 128, 256, 512),
    "ResNet18": (32, 64, 128, 256, 512),
    **{name: (32, 64, 128, 256, 512, 1024, 2048) for name in ("ResNet50", "ResNet101", "ResNet152")},
}
EIGENPLACES_DIMS = {
    "VGG16": (512,),
    "ResNet18": (256, 512),
    **{name: (128, 256, 512, 1024, 2048) for name in ("ResNet50", "ResNet101")},
}

# R@1, percent, by model and data set: Berton et al., CVPR 2022, and the CosPlace repository
RECALLS = {
    "ResNet50_512": {
        "Pitts30k": 90.2,
        "Pitts250k": 91.7,
        "Tokyo 24/7": 89.5,
        "MSLS val": 86.9,
        "St Lucia": 99.1,
        "SF-XL v1": 76.7,
        "SF-XL v2": 89.0,
    },
    "ResNet50_2048": {
        "Pitts30k": 90.9,
        "Pitts250k": 92.3,
        "Tokyo 24/7": 87.3,
        "MSLS val": 87.4,
        "St Lucia": 99.6,
        "SF-XL v1": 76.4,
        "SF-XL v2": 88.8,
    },
    "VGG16_512": {
        "Pitts30k": 88.4,
        "Pitts250k": 89.7,
        "Tokyo 24/7": 81.9,
        "MSLS val": 82.6,
        "St Lucia": 95.3,
        "SF-XL v1": 65.9,
        "SF-XL v2": 83.1,
    },
    "ResNet18_512": {"St Lucia": 98.8},  # also in the README of gmberton/VPR-methods-evaluation
}


def addresses() -> dict[str, str]:
    """Lists the published models: name -> address.

    CosPlace has 30, such as "ResNet50_512"; EigenPlaces has 13, such as "EigenPlaces_ResNet50_512".
    """
    models = {}
    for prefix, address, dims in (("", COSPLACE, COSPLACE_DIMS), ("EigenPlaces_", EIGENPLACES, EIGENPLACES_DIMS)):
        for backbone, backbone_dims in dims.items():
            for dim in backbone_dims:
                models[f"{prefix}{backbone}_{dim}"] = address.format(f"{backbone}_{dim}")
    return models


def published_name(name: str) -> str | None:
    """Spells the name of a published model as in addresses(); None if there is no such model."""
    return next((known for known in addresses() if known.lower() == name.lower()), None)


def architecture(name: str) -> tuple[str, int]:
    """Splits the name of a published model: (backbone, dimension)."""
    backbone, dim = name.removeprefix("EigenPlaces_").rsplit("_", 1)
    return backbone, int(dim)


def name_of_published(backbone: str, dim: int, method: str = "CosPlace") -> str:
    """The name of a published model, as in addresses().

    backbone: in any case
    dim: of the descriptors, also as text
    method: "CosPlace" or "EigenPlaces", in any case

    Raises ValueError, as the published hubconf.py, that says what there is instead.
    """
    methods = {"cosplace": ("", COSPLACE_DIMS), "eigenplaces": ("EigenPlaces_", EIGENPLACES_DIMS)}
    if str(method).lower() not in methods:
        raise ValueError(f'method is {method!r}, and must be "CosPlace" or "EigenPlaces"')
    prefix, dims_of = methods[method.lower()]
    known = next((name for name in dims_of if name.lower() == str(backbone).lower()), None)
    if known is None:
        raise ValueError(f"backbone is {backbone!r}, and must be one of {', '.join(dims_of)}")
    try:
        number = int(dim)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"fc_output_dim is {dim!r}, and must be a whole number") from None
    if number not in dims_of[known]:
        available = ", ".join(map(str, dims_of[known]))
        raise ValueError(f"fc_output_dim is {dim!r}, and must be one of {available} for {known} of {method}")
    return f"{prefix}{known}_{number}"
