"""The load of `cargo xtask bench` in Python: pairs of senders and receivers, each with a full window.

Homes, stores and the broker are on disk, in this process. Prints JSON: messages per second, counted when the sender has
seen the signed receipt (`delivered`) and when the receiver's program has the message (`read`), and the milliseconds of
the import.
"""

import argparse
import asyncio
import json
import time

STARTED = time.perf_counter()
import claudemesh  # noqa: E402

IMPORT = time.perf_counter() - STARTED
WARM_UP = 1.0


class Counts:
    delivered = 0
    read = 0


async def pair(
    counts: Counts, sender: claudemesh.Mesh, receiver: claudemesh.Mesh, name: str, window: int, text: str
) -> None:
    """Sends with so many under way, for ever."""
    free = asyncio.Semaphore(window)
    receipts, messages = await sender.events(), await receiver.events()

    async def confirmed() -> None:
        async for event in receipts:
            if isinstance(event, claudemesh.ReceiptEvent) and event.state == "delivered":
                counts.delivered += 1
                free.release()

    async def read() -> None:
        async for event in messages:
            if isinstance(event, claudemesh.MessageEvent):
                counts.read += 1

    async def send() -> None:
        while True:
            await free.acquire()
            await sender.send(name, text)

    await asyncio.gather(confirmed(), read(), *(send() for _ in range(window)))


async def measure(options: argparse.Namespace) -> dict[str, float]:
    text = "m" * options.size
    async with claudemesh.Broker(f"{options.folder}/broker") as broker:
        homes = options.folder
        owner = await claudemesh.up(f"{homes}/owner", name="owner", broker=broker.url)
        link = (await owner.invite(uses=2 * options.pairs)).link
        assert link is not None
        meshes, pairs, counts = [owner], [], Counts()
        for number in range(options.pairs):
            receiver = await claudemesh.join(link, f"{homes}/receiver-{number}", name=f"receiver-{number}")
            sender = await claudemesh.join(link, f"{homes}/sender-{number}", name=f"sender-{number}")
            meshes += [receiver, sender]
            pairs.append((sender, receiver, f"receiver-{number}"))
        for sender, _, name in pairs:
            await (await sender.send(name, "warm")).wait("delivered")
        load = [asyncio.create_task(pair(counts, *each, options.window, text)) for each in pairs]
        await asyncio.wait(load, timeout=WARM_UP, return_when=asyncio.FIRST_COMPLETED)
        before, started = (counts.delivered, counts.read), time.perf_counter()
        await asyncio.wait(load, timeout=options.seconds, return_when=asyncio.FIRST_COMPLETED)
        took = time.perf_counter() - started
        rates = ((counts.delivered - before[0]) / took, (counts.read - before[1]) / took)
        for task in load:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        for mesh in meshes:
            await mesh.close()
    return {"delivered": rates[0], "read": rates[1], "import_ms": IMPORT * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    for name, default in (("pairs", 8), ("window", 32), ("size", 256), ("seconds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
