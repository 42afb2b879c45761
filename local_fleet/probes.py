"""Readiness tests over HTTP."""

import aiohttp

from local_fleet.component import Probe

_PATIENCE = aiohttp.ClientTimeout(total=2)


def http_ok(session: aiohttp.ClientSession, url: str) -> Probe:
    """Ready when ``url`` answers 200. Certificates are not checked: it is our own child on loopback."""

    async def probe() -> str:
        try:
            async with session.get(url, ssl=False, timeout=_PATIENCE) as answer:
                if answer.status == 200:
                    return ""
                return f"{url} answers {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{url}: {type(error).__name__}"

    return probe
