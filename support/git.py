"""The state of a folder's files, as git knows it."""

import subprocess


def commit_of(folder: str, file: str = ".") -> str | None:
    """The commit of a folder's files, with a + if they have changed since; None without git.

    folder: within the work tree; file: in it, that git must know.
    """
    commands = (
        ["ls-files", "--error-unmatch", file],
        ["rev-parse", "HEAD"],
        ["status", "--porcelain", "--untracked-files=no"],
    )
    try:
        _, commit, changes = (
            subprocess.run(
                ["git", "-C", folder, *command], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for command in commands
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.strip() + ("+" if changes else "")
