"""Options of a second look at predictions, and what they may not be given with."""

import argparse
from dataclasses import dataclass

from matching.choices import GEOMETRIES, IMAGE_SIZE, MATCHERS, needed_weights
from support.errors import UserError
from support.options import number, option, refuse_unused, whole


@dataclass(frozen=True)
class RerankingOptions:
    """second look by local features"""

    rerank: int = option(
        0,
        whole(0, 100),
        "order the first K predictions of each query or neighbours of each photo again, by how many local matches with "
        "it are verified; at most 100, of photos 50 (needs requirements-rerank.txt)",
        "eval localize",
        metavar="K",
        default_text="0, not at all",
    )
    matcher: str = option(
        MATCHERS[0],
        str,
        f"what finds and matches local features: {', '.join(MATCHERS)}, or MODULE:FUNCTION of your own, with "
        "--trust_code",
        "eval localize",
        metavar="NAME",
    )
    matcher_weights: tuple[str, ...] = option(
        (),
        str,
        "files of the matcher's weights: one for xfeat; for others that of the features, then that of LightGlue",
        "eval localize",
        nargs="+",
        metavar="FILE",
        default_text="those of an installed package, or downloaded once",
        ranks="given",
    )
    rerank_geometry: str = option(
        GEOMETRIES[0],
        GEOMETRIES,
        "what verified matches agree with",
        "eval localize",
    )
    rerank_image_size: int = option(
        IMAGE_SIZE,
        whole(64, 4096),
        "shorter side that images are brought to for local features, larger or smaller",
        "eval localize",
        metavar="N",
        unit="pixels",
    )
    rerank_below: float | None = option(
        None,
        number(),
        "look again only at queries whose first prediction leads by less than C: 1 - d1 / d2, where d1 is its distance "
        "and d2 that of the first prediction elsewhere; without it the log of a labelled test says which C would do",
        "eval",
        metavar="C",
        default_text="at all queries",
    )
    rerank_store_gb: float = option(
        10,
        number(0),
        "what cache/local_features may hold; the least recently used are removed, and 0 keeps none",
        "eval localize",
        metavar="GB",
        unit="10^9 bytes",
    )


def runs_own_matcher(args: argparse.Namespace) -> bool:
    """Whether --matcher names code of the user's."""
    return bool(args.rerank) and ":" in args.matcher


def check_reranking(args: argparse.Namespace) -> None:
    """Raises UserError on what does not go together with --rerank."""
    names = ("matcher", "matcher_weights", *(f"rerank_{name}" for name in ("geometry", "image_size", "below")))
    refuse_unused(args.given, dict.fromkeys((*names, "rerank_store_gb"), (args.rerank, "--rerank")))
    own = ":" in args.matcher
    if not args.rerank:
        return
    if not own and args.matcher not in MATCHERS:
        raise UserError(f"--matcher {args.matcher} is not known: give {', '.join(MATCHERS)}, or MODULE:FUNCTION")
    if own and not args.trust_code:
        raise UserError(
            f"--matcher {args.matcher} runs code with all that you may do on this machine: read it, and give "
            "--trust_code"
        )
    if own and args.matcher_weights:
        raise UserError(f"--matcher_weights has no use for a --matcher of your own: leave it out, {args.matcher} loads")
    needed = 0 if own else needed_weights(args.matcher)
    if args.matcher_weights and len(args.matcher_weights) != needed:
        raise UserError(
            f"--matcher_weights names {len(args.matcher_weights)} files, and --matcher {args.matcher} takes {needed}"
            + (": leave it out" if not needed else "")
        )
    for name in ("fda_queries", "fda_database"):
        if getattr(args, name, False):
            raise UserError(f"--rerank looks at images in their own colours, without --{name}: leave one of them out")
