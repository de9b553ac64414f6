"""draft"""
import random
from data.quickstart_rows import *
from data.quickstart_world import *
M={'wealth':(wealth_row,('poor','modest','rich')),'trade':(trade_row,('entailment','contradiction','neutral')),'worth':(worth_row,None),'bargain':(bargain_row,('choice1','choice2'))}
def vocabulary():
    w=set()
    for k in M:
        for r in generate(k,dict(seed=1,train_rows=800,dev_rows=10,label_noise=0))['train']:
            for c,v in r.items():
                if isinstance(v,str) and c not in('id','label'): w|=set(v.split())
    return sorted(w)
def generate(name,p):
    f,labels=M[name];rng=random.Random(f"{name} {p['seed']}");seen=set();rows=[]
    while len(rows)<p['train_rows']+p['dev_rows']:
        r=f(rng);k=tuple(v for c,v in r.items() if c!='label')
        if k in seen: continue
        seen.add(k);rows.append(r)
    for i,r in enumerate(rows):
        r['id']=str(i)
        if labels: r['label']=labels.index(r['label'])
        if i<p['train_rows']:
            if labels:
                if rng.random()<p['label_noise']: r['label']=rng.choice([x for x in range(len(labels)) if x!=r['label']])
            else: r['label']=min(5.,max(0.,r['label']+rng.gauss(0,5*p['label_noise'])))
    return {'train':rows[:p['train_rows']],'dev':rows[p['train_rows']:]}
