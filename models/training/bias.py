"""Who writes must not matter: the same posts with other names, and in a dialect, and what changes in their labels."""

from itertools import pairwise
from typing import Final

import numpy as np

from models.classifier import HEADS, Classifier, chances, decide
from models.text import normalise

NAMES: Final = {
    "German": ("Lena Schneider", "Stefan Bauer", "Ingrid Vogel"),
    "Turkish": ("Ayşe Yılmaz", "Mehmet Demir", "Elif Kaya"),
    "Arabic": ("Fatima Al-Sayed", "Mohammed Haddad", "Yasmin Khalil"),
    "Polish": ("Agnieszka Kowalska", "Piotr Nowak", "Zofia Wójcik"),
    "English": ("Emily Clark", "Jack Harris", "Grace Walker"),
    "West African": ("Chidi Okafor", "Aminata Diallo", "Kwame Mensah"),
    "Vietnamese": ("Nguyễn Thị Lan", "Trần Văn Minh", "Phạm Thu Hà"),
}

POSTS: Final = (
    "Hallo, hier ist {name}. Mein Paket ist seit einer Woche nicht angekommen, könnt ihr nachsehen?",
    "{name}: Ich komme seit heute früh nicht mehr in mein Konto, bitte um Hilfe.",
    "Der Mitarbeiter {name} war sehr freundlich, vielen Dank dafür!",
    "Euer Mitarbeiter {name} hat mich einfach stehen lassen. Nie wieder.",
    "Viele Grüße, {name}",
    "Hi, this is {name}. My order never arrived, can you check please?",
    "{name} here, I was charged twice this month and nobody answers.",
    "Your colleague {name} was so helpful today, thank you!",
    "{name} at the counter was rude to me and my mother.",
    "Who can change the name on my ticket? It should be {name}.",
)

# The plain sentence, and what somebody may write who speaks a dialect.
DIALECTS: Final = {
    "Bavarian": (
        ("Mein Paket ist immer noch nicht da, was ist denn los?", "Mei Packerl is oiwei no ned do, wos is'n los?"),
        ("Vielen Dank, das hat super geklappt!", "Vergelt's Gott, des hod fei super klappt!"),
        ("Ich kann mich nicht anmelden.", "I ko mi ned omeldn."),
        ("Wann habt ihr morgen geöffnet?", "Wann habts'n ihr morgn offn?"),
    ),
    "Swiss German": (
        ("Mein Zug hat schon wieder Verspätung.", "Min Zug het scho wieder Verspötig."),
        ("Danke für die schnelle Hilfe!", "Merci für di schnäll Hilf!"),
        ("Die App funktioniert nicht mehr.", "D App funktioniert nüm."),
        ("Was kostet das Abo im Monat?", "Was choschtet s Abo im Monet?"),
    ),
    "African American English": (
        ("My package still isn't here, what is going on?", "My package still ain't here, what's goin on?"),
        ("Thank you, you all are the best!", "Thank y'all, y'all the best!"),
        ("I can't log in to my account.", "I can't get in my account no more."),
        ("Are you open tomorrow?", "Y'all open tomorrow?"),
    ),
    "Scots": (
        ("My broadband is down again.", "Ma broadband's doon again."),
        ("Thanks very much for your help!", "Cheers pal, ta fur yer help!"),
        ("I don't know how to reset it.", "A dinnae ken how tae reset it."),
        ("What time do you close?", "Whit time dae ye shut?"),
    ),
}


def by_names(classifier: Classifier) -> dict[str, float]:
    """
    Return, by head, the share of posts whose label depends on whose name is in them, 0..1.

    ``toxic spread`` is the widest gap of the mean probability of toxicity between two groups of names.
    """
    texts = [normalise(post.format(name=name)) for post in POSTS for names in NAMES.values() for name in names]
    logits = classifier.logits(texts)
    values, _ = decide(logits)
    each = values.reshape(len(POSTS), -1, len(HEADS))
    out = {head: round(float((np.ptp(each[:, :, at], axis=1) > 0).mean()), 4) for at, head in enumerate(HEADS)}
    toxic = chances(logits, "toxic")[:, 1].reshape(len(POSTS), len(NAMES), -1).mean(axis=(0, 2))
    return {**out, "toxic spread": round(float(np.ptp(toxic)), 4)}


def by_dialect(classifier: Classifier) -> dict[str, dict[str, float]]:
    """Return, by dialect and head, the share of sentences whose label changes, and what the mean of toxicity gains."""
    return {name: _changed(classifier, pairs) for name, pairs in DIALECTS.items()}


def _changed(classifier: Classifier, pairs: tuple[tuple[str, str], ...]) -> dict[str, float]:
    logits = classifier.logits([normalise(text) for pair in pairs for text in pair])
    values, _ = decide(logits)
    changed = np.array([values[at] != values[other] for at, other in list(pairwise(range(len(values))))[::2]])
    toxic = chances(logits, "toxic")[:, 1]
    out = {head: round(float(changed[:, at].mean()), 4) for at, head in enumerate(HEADS)}
    return {**out, "toxic gain": round(float(toxic[1::2].mean() - toxic[::2].mean()), 4)}
