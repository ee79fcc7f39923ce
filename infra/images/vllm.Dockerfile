# vLLM as it is (the version whose flags and behaviour the tests know), with a user of its own and a folder for weights that this user may write.
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0
FROM ${VLLM_IMAGE}
RUN useradd --uid 10021 --no-create-home vllm && install -d -m 700 -o 10021 -g 10021 /models
USER 10021:10021
