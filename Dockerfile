# A server with the page of scapnet; the model is a folder that is mounted at /model. See docs/serve.md.
#   docker build --tag scapnet .
#   docker run --publish 127.0.0.1:7860:7860 --volume "$PWD/runs/photos:/model:ro" scapnet
FROM python:3.12-slim

# Letters of class names in the pictures.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
# Another index for PyTorch, such as that of its builds without CUDA, which are much smaller.
ARG TORCH_INDEX=""
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision; fi
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir ".[demo]"

RUN useradd --create-home scapnet && mkdir /corrections && chown scapnet /corrections
USER scapnet
WORKDIR /home/scapnet
VOLUME /corrections
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:7860/health')"]
ENTRYPOINT ["scapnet", "serve", "--host", "0.0.0.0", "--corrections", "/corrections"]
CMD ["/model"]
