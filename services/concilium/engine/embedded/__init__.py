"""An OpenAI-compatible server for one transformers model, on a CPU or a small GPU, with LoRA adapters that are loaded,
mixed in one batch and unloaded while it runs: ``python -m concilium.engine.embedded``. Nothing else imports it.

One thread owns the model and steps it (`loop`): at each step rows join and leave the batch, every row brings the tokens
it has not computed yet, and all of them are packed into one forward call. What a row sees of the others is nothing: its
keys and values are in a slot of its own (`cache`), its adapter is named for its tokens alone (`lora`), its chance is
its own (`sampler`). The HTTP side (`app`, `routes`) only asks that thread and passes on what it answers.
"""
