import json, pytest
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]
O={"spot":100,"strike":105,"volatility":.2,"maturity":1,"rate":.03}
def short(r):
    r=json.loads(json.dumps(r)); return json.dumps(r)[:1500]
def test_all(result, imported, client, post):
    for n in (1,2,8): print(short(result("monte-carlo", option=O, paths=200000, seed=7, shards=n)))
    print(short(result("monte-carlo", portfolio={"weights":[.5,.5],"covariance":[[4e-4,0],[0,1e-4]]}, paths=200000, seed=7, shards=2)))
    import numpy as np
    r=np.random.default_rng(1); n=3000
    x=[round(v,3) for v in r.normal(10,2,n).tolist()]; y=[round(2*v+e,4) for v,e in zip(x,r.normal(0,1,n).tolist())]
    x[5]=None
    g=r.choice(["a","b"],n).tolist()
    d=imported({"x":x,"y":y,"g":g},{"x":"number","y":"number"},block_bytes=16*1024)
    for s in ("mean","median","std","quantile"): print(short(result("bootstrap",dataset=d,column="x",statistic=s,seed=1)))
    print(short(result("bootstrap",dataset=d,column="x",statistic="correlation",other="y",seed=1,shards=3)))
    print(short(result("bootstrap",dataset=d,column="x",statistic="difference_of_means",other="g",seed=1)))
    print(short(result("describe",dataset=d,group_by="g",correlation=True,shards=2)))
    print(short(result("regression",dataset=d,target="y",predictors=["x"])))
    print(short(result("sweep",base={"option":O,"paths":1000},grid={"option.strike":[90,100],"option.volatility":[.1,.2]})))
