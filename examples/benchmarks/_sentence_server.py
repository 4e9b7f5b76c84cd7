"""sentence-transformers behind FastAPI: requests of 2 ms, up to 32 texts, are one call of `encode`.

python _sentence_server.py MODEL PORT
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

BATCH, WAIT_SECONDS = 32, 0.002


class Request(BaseModel):
    texts: list[str]


async def next_batch(queue: asyncio.Queue) -> list:
    batch = [await queue.get()]
    until = asyncio.get_running_loop().time() + WAIT_SECONDS
    while len(batch) < BATCH:
        left = max(0.0, until - asyncio.get_running_loop().time())
        try:
            batch.append(await asyncio.wait_for(queue.get(), left))
        except TimeoutError:
            break
    return batch


async def work(queue: asyncio.Queue, model: SentenceTransformer) -> None:
    encode = partial(model.encode, batch_size=BATCH, show_progress_bar=False)
    thread, loop = ThreadPoolExecutor(1), asyncio.get_running_loop()
    while True:
        batch = await next_batch(queue)
        vectors = await loop.run_in_executor(thread, encode, [text for text, _ in batch])
        for (_, future), vector in zip(batch, vectors, strict=True):
            future.set_result(vector)


def make_app(model: SentenceTransformer) -> FastAPI:
    queue: asyncio.Queue = asyncio.Queue()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(work(queue, model))
        yield
        task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/ready")
    async def ready() -> dict:
        return {}

    @app.post("/embed")
    async def embed(asked: Request) -> dict:
        futures = [asyncio.get_running_loop().create_future() for _ in asked.texts]
        for text, future in zip(asked.texts, futures, strict=True):
            queue.put_nowait((text, future))
        return {"vectors": [(await future).tolist() for future in futures]}

    return app


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    # The folder's weights are half precision, which mbert reads as fp32.
    served = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": "float32"})
    uvicorn.run(
        make_app(served), port=int(port), access_log=False, log_level="warning", timeout_keep_alive=75
    )
