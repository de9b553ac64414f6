"""One clean row of each quickstart dataset: texts, and the label that the world gives them."""
import math, random
from data.quickstart_world import *
Row = dict[str, str | int | float]
MAXW=432.0
def stars(total): return round(5*math.log(1+total/4)/math.log(1+MAXW/4),2)
def worth_row(rng):
    p=rng.choice(PEOPLE);a,b=random_goods(rng),random_goods(rng)
    return {"text":f"{p} has {a.text} and {b.text}","label":stars(a.worth+b.worth)}
def wealth_row(rng):
    want=rng.choice(("poor","modest","rich"))
    while True:
        p=rng.choice(PEOPLE);a,b=random_goods(rng),random_goods(rng);t=a.worth+b.worth
        if ("poor" if t<18 else "modest" if t<45 else "rich")==want: break
    return {"text":f"{p} owns {a.text} and {b.text}","label":want}
def trade_row(rng):
    want=rng.choice(("entailment","contradiction","neutral"))
    while True:
        p=rng.choice(PEOPLE);a,b,c=(random_goods(rng) for _ in range(3))
        if want=="neutral":
            first=f"{rng.choice(('some','many','most'))} {a.condition} {a.colour} {a.thing}"; break
        if ((a.worth+b.worth>=c.worth))==(want=="entailment"): first=a.text;break
    return {"premise":f"{p} has {first} and {b.text}","hypothesis":f"{p} can pay for {c.text}","label":want}
def bargain_row(rng):
    a,b=random_goods(rng),random_goods(rng)
    while a.worth==b.worth: b=random_goods(rng)
    p=rng.choice(PEOPLE)
    return {"premise":f"{p} wants what is worth more","choice1":f"{p} takes {a.text}","choice2":f"{p} takes {b.text}","label":"choice1" if a.worth>b.worth else "choice2"}
PRICES={"hen":6,"goose":10,"goat":16,"pig":25,"pony":40,"cow":60,"boat":90,"cart":30,"kite":8,"ship":140}
def trade_row(rng):
    want=rng.choice(("entailment","contradiction","neutral"))
    while True:
        p=rng.choice(PEOPLE);a,b=(random_goods(rng) for _ in range(2)); c=rng.choice(list(PRICES))
        if want=="neutral":
            first=f"{rng.choice(('some','many'))} {a.condition} {a.colour} {a.thing}"; break
        if ((a.worth+b.worth>=PRICES[c]))==(want=="entailment"): first=a.text;break
    return {"premise":f"{p} has {first} and {b.text}","hypothesis":f"{p} can pay for a {c}","label":want}
