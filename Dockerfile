# Both controllers and the metrics agent, from the wheel: python -m workload_controller | quota_manager | metrics_agent.
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /source
COPY pyproject.toml uv.lock README.md LICENSE ./
# The locked versions by their hashes, in a layer of their own: the code changes more often than they do.
RUN uv export --locked --no-default-groups --no-emit-project --output-file /requirements.txt \
    && uv venv /venv \
    && uv pip install --python /venv --require-hashes --no-cache --requirement /requirements.txt
COPY . .
RUN uv build --wheel --out-dir /wheels \
    && uv pip install --python /venv --no-deps --no-cache /wheels/*.whl \
    && /venv/bin/kueue-ks version

FROM python:3.13-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
CMD ["kueue-ks", "version"]
