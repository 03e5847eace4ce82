"""Options that several commands have."""

from typing import Annotated

import typer

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Name (see rtdenoise models) or folder of a model. NAME@N: a patch model such as "
        "resunet runs every N hops, for N - 1 hops of latency.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:N, tensorrt (float16; prepares itself for minutes the first time), "
        "or auto: CUDA where it works.",
    ),
]
