"""The numbers of a comparison in one or two sentences, English or Russian."""

from concilium.contracts.base import JSON

_ALIKE = 10
"""Perceptual hashes of the same picture, scaled or compressed, differ in at most about so many of 64 bits."""
_SAYINGS = {
    "en": {
        "identical": "The images are identical, pixel by pixel.",
        "turned": "The second image is the first one turned ({turn} brings it back).",
        "size": "The sizes differ: {first} and {second}.",
        "none": "No pixel differs by more than {tolerance} of 255; SSIM {ssim:.3f}.",
        "some": "{share} of the pixels differ in {regions} region(s); SSIM {ssim:.3f}.",
        "alike": "They look like the same picture.",
        "unlike": "They look like different pictures.",
    },
    "ru": {
        "identical": "Изображения совпадают до пикселя.",
        "turned": "Второе изображение — повёрнутое первое (обратно его возвращает {turn}).",
        "size": "Размеры разные: {first} и {second}.",
        "none": "Ни один пиксель не отличается больше чем на {tolerance} из 255; SSIM {ssim:.3f}.",
        "some": "Отличаются {share} пикселей, областей: {regions}; SSIM {ssim:.3f}.",
        "alike": "Похоже, это одна и та же картинка.",
        "unlike": "Похоже, это разные картинки.",
    },
}


def summary(told: dict[str, JSON], language: str) -> str:
    """Return the sentences for the output of ``vision.compare``."""
    say = _SAYINGS[language]
    if told["identical"]:
        return say["identical"]
    first, second = (f"{width} x {height}" for width, height in told["sizes"])
    said = [say["turned"].format(turn=told["turn"])] if told["turn"] else []
    if not told["same_size"] and not told["turn"]:
        said.append(say["size"].format(first=first, second=second))
    share = told["different_share"]
    numbers = {"share": _percent(share), "regions": len(told["regions"])}
    said.append(say["some" if share else "none"].format(**numbers, ssim=told["ssim"], tolerance=told["tolerance"]))
    said.append(say["alike" if told["hash_distance"] <= _ALIKE else "unlike"])
    return " ".join(said)


def _percent(share: float) -> str:
    return "< 0.01 %" if share < 0.0001 else f"{100 * share:.2f} %"
