"""The baselines of our recommendations: implicit's ALS and lenskit's SLIM.

    .venv-peers/bin/python -m tests.bench.baselines als|slim FOLDER

Reads train.csv and profiles.csv of the folder as `evaluate_recommendations` does and writes recs.csv, ten films a
person. Runs where nothing of ours is installed (`make peers`). Settings are the best of a grid on a split of the
training part of MovieLens' ml-latest-small, never of the part that is judged.
"""

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.sparse import csr_matrix

SHOWN = 10
# of ratings as w (slope 0.3, 0.5, 0.8), as 1, by BM25; 8-128 factors; regularization 1-50; alpha 1-8
ALS = {"factors": 64, "regularization": 20.0, "alpha": 2.0, "iterations": 12, "slope": 0.5}
# of 18 points: l1 0.1-10, l2 20-2,000, with all films and with 200 neighbours
SLIM = {"l1_reg": 1.0, "l2_reg": 600.0, "max_nbrs": None}


def main(method, folder, *settings):
    train = read(folder / "train.csv")
    profiles = (folder / "profiles.csv").exists() and read(folder / "profiles.csv")
    lists = METHODS[method](train, profiles or train, json.loads(settings[0]) if settings else {})
    with open(folder / "recs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rank"])
        rows.writerows((u, film, rank) for u, films in lists.items() for rank, film in enumerate(films, 1))


def read(path):
    """{person: {film: rating 1-10}}."""
    people = defaultdict(dict)
    with open(path) as file:
        for user, film, rating, _at in list(csv.reader(file))[1:]:
            people[int(user)][int(film)] = float(rating)
    return people


def als(train, profiles, settings):
    """implicit's, ratings weighted around each person's mean as ours are."""
    from implicit.als import AlternatingLeastSquares

    settings = ALS | settings
    slope = settings.pop("slope")
    films = sorted({film for mine in train.values() for film in mine})
    column = {film: number for number, film in enumerate(films)}

    def matrix(people):
        cells = []
        for row, mine in enumerate(people.values()):
            mean = fmean(mine.values())
            cells += [(row, column[f], max(0.05, 1 + slope * (r - mean))) for f, r in mine.items() if f in column]
        rows, columns, values = zip(*cells, strict=True)
        return csr_matrix((np.array(values, np.float32), (rows, columns)), shape=(len(people), len(films)))

    model = AlternatingLeastSquares(random_state=1, **settings)
    model.fit(matrix(train), show_progress=False)
    found, _scores = model.recommend(np.arange(len(profiles)), matrix(profiles), N=SHOWN, recalculate_user=True)
    return {user: [films[item] for item in row] for user, row in zip(profiles, found.tolist(), strict=True)}


def slim(train, profiles, settings):
    """lenskit's, which learns from what was rated, however highly."""
    import pandas
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.knn import SLIMScorer
    from lenskit.training import TrainingOptions

    rows = [(user, film, rating) for user, mine in train.items() for film, rating in mine.items()]
    data = from_interactions_df(pandas.DataFrame(rows, columns=["user_id", "item_id", "rating"]))
    model = SLIMScorer(**(SLIM | settings))
    model.train(data, TrainingOptions())
    items = ItemList(data.items.ids(), vocabulary=data.items)
    films = items.ids().tolist()
    lists = {}
    for user, mine in profiles.items():
        history = ItemList(item_ids=np.array(list(mine)))
        scores = np.nan_to_num(model(RecQuery(user_id=user, user_items=history), items).scores(), nan=-np.inf)
        best = np.argsort(-scores, kind="stable")
        lists[user] = [films[item] for item in best[: SHOWN + len(mine)] if films[item] not in mine][:SHOWN]
    return lists


METHODS = {"als": als, "slim": slim}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
