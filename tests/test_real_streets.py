"""benchmarks.real_streets: what is searched and counted on a folder of real streets, and its table."""

import os

import numpy as np
import pytest
import torch

from benchmarks import campus, real_streets
from datasets.names import format_name
from model.network import GeoLocalizationNet
from tests.photos import save_photo
from tests.scripts import fails
from tests.tiny import EAST, NORTH, place_image


def save(folder, east, heading=0.0, timestamp="", place=0):
    """Writes one image; returns its name."""
    name = format_name(EAST + east, NORTH, 10, "S", pano_id=f"p{east}", heading=heading, timestamp=timestamp)
    os.makedirs(folder, exist_ok=True)
    place_image(place, heading, 0).save(os.path.join(folder, name))
    return name


def test_each_image_is_a_query_in_all_others(workdir):
    save("streets", 0, timestamp="1504", place=1)
    save("streets", 1, timestamp="1504", place=1)  # of the same walk as the first
    save("streets", 20, 90.0, "1720", place=2)
    save("streets", 500, timestamp="1720", place=3)  # near none
    streets = real_streets.find_streets("streets", 25.0)
    assert (streets.total, streets.num_database, list(streets.queries)) == (4, 4, [0, 1, 2])
    assert [list(rows) for rows in streets.left_out] == [[0, 1], [0, 1], [2]]
    assert [list(rows) for rows in streets.positives] == [[2], [2], [0, 1]]
    with pytest.raises(real_streets.UserError, match="no image of streets has another within 25 m"):
        real_streets.find_streets("streets", 25.0, heading_threshold=45.0)


def test_database_and_queries_are_searched_as_they_are(workdir):
    for east in (0, 10, 300):
        save("streets/database", east, timestamp="1504", place=east)
    save("streets/queries", 0, timestamp="1504", place=0)
    save("streets/queries", 302, timestamp="1504", place=300)
    streets = real_streets.find_streets("streets", 25.0)
    assert [list(rows) for rows in streets.positives] == [[0, 1], [2]] and not any(map(len, streets.left_out))
    torch.manual_seed(0)
    network = GeoLocalizationNet("Small", 8).eval()
    found = real_streets.search(network, streets, 64, torch.device("cpu"))
    assert found.all()  # the queries are copies of database images


def test_an_image_never_finds_itself(workdir):
    save("streets", 0, place=1)
    save("streets", 10, place=2)
    save("streets", 100, place=1)  # a copy of the first, far away
    save("streets", 110, place=4)
    torch.manual_seed(0)
    network = GeoLocalizationNet("Small", 8).eval()
    streets = real_streets.find_streets("streets", 25.0)
    found = real_streets.search(network, streets, 64, torch.device("cpu"))
    assert not found[0, 0] and not found[2, 0] and found[:, 1].all()


def test_pooled_features_are_those_below_the_last_layer():
    torch.manual_seed(0)
    network = GeoLocalizationNet("Small", 8).eval()
    pooled, image = real_streets.without_last_layer(network), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = network.aggregation[:3](network.backbone(image))
        expected = features / features.norm()
        assert pooled.fc_output_dim == 64 and torch.allclose(pooled(image), expected, atol=1e-6)
        assert network(image).shape == (1, 8)


def test_the_table(workdir, capsys):
    for place in range(4):
        save("streets", 100 * place, place=place)
        save("streets", 100 * place + 5, place=place)
    torch.manual_seed(0)
    torch.save(GeoLocalizationNet("Small", 8).state_dict(), "mine.pth")
    trunk = {
        f"features.{key[11:]}": value
        for key, value in GeoLocalizationNet("MobileNet_V2", 8).state_dict().items()
        if key.startswith("backbone.0.")
    }
    torch.save(trunk, "trunk.pth")
    real_streets.main(
        ["streets", "--resume_model", "mine.pth", "--trunk", "trunk.pth", "--image_size", "64", "--device", "cpu"]
    )
    out = capsys.readouterr().out
    assert "8 of 8 queries have a right image; 8 database images, 1.0 on average" in out
    assert "| mine.pth | 100.0 (67.6 to 100.0) | 100.0 | 100.0 | +0.0 (+0.0 to +0.0), p 1 |" in out
    assert out.count("before the last layer") == 3 and "Chance R@1: 14.3" in out


def test_bad_folders_get_one_line(workdir, capsys):
    assert "missing" in fails(real_streets, capsys, "missing")
    save_photo("plain/photo.jpg", 100, 80)
    assert "photo.jpg" in fails(real_streets, capsys, "plain")
    assert "labels_val.csv" in fails(campus, capsys, "plain", "output")
    assert not os.path.exists("output")


def test_campus_names(workdir, capsys):
    save_photo("set/images_val/img_0001.jpeg", 100, 80)
    with open("set/labels_val.csv", "w") as file:
        file.write("filename,timestamp,latitude,longitude,angle,Region_ID\nimg_0001.jpeg,15:04,219698,144782,371,2\n")
        file.write("img_0002.jpg,15:05,219698,144782,0,2\n")
    campus.main(["set", "out"])
    assert "1 of 2 labelled photos are in out" in capsys.readouterr().out
    (name,) = os.listdir("out")
    fields = name.split("@")
    assert fields[7] == "img_0001" and float(fields[9]) == 11.0 and fields[13] == "1504" and name.endswith("@.jpeg")
    assert np.isclose(float(fields[5]), 0.2197, atol=1e-4)
    campus.main(["set", "halves", "--split"])
    assert os.listdir("halves/queries") == [name]  # 15:04
    for number in (3, 4):
        save_photo(f"set/images_val/img_000{number}.jpg", 100, 80)
    with open("set/labels_val.csv", "a") as file:
        file.write("img_0003.jpg,16:00,219699,144782,0,2\nimg_0004.jpg,16:00,819698,144782,0,2\n")
    capsys.readouterr()
    campus.main(["set", "near", "--split"])
    assert "2 of 4 labelled photos are in near" in capsys.readouterr().out  # one is missing, one 60 km away
    assert "img_0003" in os.listdir("near/database")[0]
