"""How one clean row of each quickstart dataset is made: the text and the label that the world's rules give it."""
import random
from data.quickstart_scenes import NUMBERS, PEOPLE, Scene, amount, random_scene
Row = dict[str, str | int | float]
RANGE = {"exactly": lambda n: range(n, n + 1), "more than": lambda n: range(n + 1, 12), "fewer than": lambda n: range(0, n)}

def what(s): return f"{s.colour} {s.thing}"
def amounts_row(rng):
    s=random_scene(rng); t=random_scene(rng); p,q=rng.sample(PEOPLE,2)
    labels=("fewer","equal","more"); label=rng.choice(labels)
    a,b=rng.choice([(x,y) for x in NUMBERS for y in NUMBERS if labels[(amount(x)>amount(y))-(amount(x)<amount(y))+1]==label])
    return {"text":f"{p} has {a} {s.colour} {s.thing} and {q} has {b} {t.colour} {t.thing}","label":label}

def scenes_row(rng):
    s=random_scene(rng); label=rng.choice(("entailment","contradiction","neutral"))
    p=rng.choice(PEOPLE)
    sign=rng.choice(("more","fewer"))
    a,b=rng.sample(NUMBERS,2)
    if label!="neutral":
        if ((amount(a)>amount(b))==(sign=="more"))!=(label=="entailment"): a,b=b,a
    else: a=rng.choice(("some","many","most","all"))
    return {"premise":f"{p} has {a} {s.colour} {s.thing}","hypothesis":f"{p} has {sign} than {b} {s.thing}","label":label}

def likeness_row(rng):
    s=random_scene(rng); t=random_scene(rng); p,q=rng.sample(PEOPLE,2)
    a,b=rng.choice(NUMBERS),rng.choice(NUMBERS)
    return {"sentence1":f"{p} has {a} {s.colour} {s.thing} {s.place}","sentence2":f"{q} has {b} {t.colour} {t.thing} {t.place}","label":round(5*(1-abs(amount(a)-amount(b))/7),3)}

def sequels_row(rng):
    scene = random_scene(rng)
    who, other = rng.sample(PEOPLE, 2)
    number = rng.choice(NUMBERS[1:-1])
    lost = rng.random() < 0.5
    verb = rng.choice(("lost", "sold")) if lost else rng.choice(("found", "bought"))
    less = rng.choice(NUMBERS[: amount(number) - 2])
    more = rng.choice(NUMBERS[amount(number) - 1 :])
    right, wrong = (less, more) if lost else (more, less)
    label = rng.choice(("choice1", "choice2"))
    a, b = (right, wrong) if label == "choice1" else (wrong, right)
    tail = f"{scene.colour} {scene.thing}"
    return {"premise": f"{who} had {number} {tail} and {verb} some","choice1": f"{who} has {a} {tail}","choice2": f"{who} has {b} {tail}","label": label}
