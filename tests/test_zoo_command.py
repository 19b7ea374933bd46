import os
import threading

import numpy as np
import pytest
import torch

import eval as eval_script
from model import zoo
from model.checkpoints import check_network, load_network, save_network
from model.network import GeoLocalizationNet
from model.zoo import __main__ as command
from model.zoo import published
from support import downloads
from support.errors import UserError
from support.files import write_tensors
from tests.file_server import running_server
from tests.scripts import fails

PATH = "/ResNet18_512_cosplace.pth"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GeoLocalizationNet("ResNet18", 512)


@pytest.fixture
def server(workdir, network, monkeypatch):
    """Publishes one model; a user's own zoo is at /own, and has another."""
    monkeypatch.delenv(zoo.VARIABLE, raising=False)
    with running_server(monkeypatch) as server:
        monkeypatch.setattr(published, "COSPLACE", server.address + "/{}_cosplace.pth")
        server.put(PATH, network)
        yield server


@pytest.fixture
def folder(workdir):
    """Where downloads go."""
    return workdir / "torch_home/hub/checkpoints"


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def small(dim=8):
    torch.manual_seed(dim)
    return GeoLocalizationNet("ResNet18", dim)


# --- names


def test_addresses_are_the_published_ones():
    addresses = published.addresses()
    assert len(addresses) == 43 and sum(name.startswith("EigenPlaces_") for name in addresses) == 13
    assert (
        addresses["ResNet50_2048"]
        == "https://github.com/gmberton/CosPlace/releases/download/v1.0/ResNet50_2048_cosplace.pth"
    )
    assert (
        addresses["EigenPlaces_VGG16_512"]
        == "https://github.com/gmberton/EigenPlaces/releases/download/v1.0/VGG16_512_eigenplaces.pth"
    )
    assert published.published_name("eigenplaces_resnet50_512") == "EigenPlaces_ResNet50_512"
    assert published.published_name("ResNet50_4096") is None and set(published.RECALLS) <= set(addresses)
    with pytest.raises(UserError, match="neither a file nor a published model; the published models are VGG16_64, "):
        load_network("ResNet50_4096")
    with pytest.raises(UserError, match="there is no file nowhere/x.pth; check the path"):
        load_network("nowhere/x.pth")


# --- downloads


def test_model_is_downloaded_once(server, network, folder):
    assert equal(load_network("ResNet18_512"), network) and equal(load_network("resnet18_512"), network)
    assert server.requests == [PATH]  # and no ImageNet weights
    assert os.listdir(folder) == ["ResNet18_512_cosplace.pth"]


def test_an_existing_path_wins(server, network):
    save_network(network, "ResNet18_512")
    assert equal(load_network("ResNet18_512"), network) and not server.requests


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda server: server.files.clear(), "ResNet18_512 could not be fetched .HTTP Error 404"),
        (lambda server: server.files.update({PATH: server.files[PATH][:100000]}), "cut off or damaged"),
        (lambda server: server.put(PATH, small(32)), "is a ResNet18 with 32-D descriptors, not a ResNet18 with 512-D"),
        (
            lambda server: server.redirects.update({PATH: "ftp://127.0.0.1/x"}),
            "leads to ftp://127.0.0.1/x, which is not followed",
        ),
        (lambda server: server.redirects.update({PATH: "file:///etc/passwd"}), "HTTP Error 302"),
        (lambda server: server.redirects.update({PATH: PATH}), "infinite loop"),
    ],
)
def test_bad_downloads_are_not_kept_and_say_how_to_do_it_by_hand(server, network, folder, change, problem):
    whole = server.files[PATH]
    change(server)
    with pytest.raises(UserError, match=problem) as error:
        load_network("ResNet18_512")
    place = folder / "ResNet18_512_cosplace.pth"
    assert f"ResNet18_512_cosplace.pth by hand and put it at {place}" in str(error.value) and "\n" not in str(
        error.value
    )
    assert os.listdir(folder) == []
    server.files[PATH], server.redirects = whole, {}
    assert equal(load_network("ResNet18_512"), network)


def test_offline(workdir, monkeypatch):
    monkeypatch.setattr(published, "COSPLACE", "http://127.0.0.1:1/{}_cosplace.pth")
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(
        UserError, match="ResNet50_512 could not be fetched .*Connection refused.*by hand and put it at"
    ):
        load_network("ResNet50_512")


def test_redirects_are_followed(server, network):
    server.files["/elsewhere"] = server.files.pop(PATH)
    server.redirects[PATH] = "/elsewhere"
    assert equal(load_network("ResNet18_512"), network)
    assert server.requests == [PATH, "/elsewhere"]


def test_no_redirect_from_https_to_http():
    request = downloads.urllib.request.Request("https://host/x")
    with pytest.raises(OSError, match="it leads to http://host/x, which is not followed"):
        downloads._Redirects().redirect_request(request, None, 302, "Found", {}, "http://host/x")


def test_interrupted_downloads_begin_again(server, network, folder):
    server.cuts = [1_000_000]
    with pytest.raises(UserError, match=r"the connection ended after 1.0 of \d+.\d MB"):
        load_network("ResNet18_512")
    assert os.listdir(folder) == []
    (folder / "ResNet18_512_cosplace.pth.part").write_bytes(b"x" * 1000)  # of a process that was killed
    assert equal(load_network("ResNet18_512"), network)
    assert server.requests == [PATH, PATH] and os.listdir(folder) == ["ResNet18_512_cosplace.pth"]


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize(
    ("bound", "value", "problem"),
    [("_LARGEST", 3_000_000, "it has more than 0.003 GB"), ("_LONGEST", -1, "it takes more than .* hours")],
)
def test_downloads_are_bounded(server, folder, monkeypatch, length, bound, value, problem):
    server.length = length
    monkeypatch.setattr(downloads, bound, value)
    with pytest.raises(UserError, match=f"ResNet18_512 could not be fetched .{problem}.: download .* by hand"):
        load_network("ResNet18_512")
    assert os.listdir(folder) == []


def test_two_at_once_download_once(server, network, folder):
    threads = [
        threading.Thread(
            target=downloads.fetch, args=(server.address + PATH, str(folder / "x.pth"), "x", lambda path: None)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1 and os.listdir(folder) == ["x.pth"]


def test_hash(server, folder):
    with pytest.raises(UserError, match="its SHA-256 begins with .{8}, not 00000000"):
        downloads.fetch(server.address + PATH, str(folder / "x.pth"), "x", lambda path: None, "00000000")
    assert os.listdir(folder) == []


def test_addresses_that_are_no_addresses(folder):
    with pytest.raises(UserError, match="file:///etc/passwd is no http or https address"):
        downloads.fetch("file:///etc/passwd", str(folder / "x"), "x", lambda path: None)


# --- what is checked


def test_networks_that_are_damaged():
    network = small().train()
    check_network(network, "x.pth")
    assert network.training
    network.backbone[1].running_var[3] = np.inf
    with pytest.raises(UserError, match=r"x.pth holds numbers that are not finite \(backbone.1.running_var\)"):
        check_network(network, "x.pth")
    network.backbone[1].running_var[3] = 1
    for parameter in network.aggregation[3].parameters():
        parameter.data.zero_()
    with pytest.raises(UserError, match="gives of a test image has length 0, not 1"):
        check_network(network, "x.pth")


def test_files_put_there_by_hand_are_checked_too(server, network, folder):
    os.makedirs(folder)
    save_network(network, folder / "ResNet50_2048_cosplace.pth")
    with pytest.raises(
        UserError, match="ResNet50_2048_cosplace.pth is a ResNet18 with 512-D descriptors, not a ResNet50 with 2048-D"
    ):
        load_network("ResNet50_2048")
    save_network(network, folder / "ResNet18_512_cosplace.pth")
    with pytest.raises(UserError, match="ResNet18_512 is a ResNet18 with 512-D descriptors: fix --backbone"):
        load_network("ResNet18_512", backbone="VGG16")
    state = {**network.state_dict(), "aggregation.1.p": torch.tensor([float("nan")])}
    write_tensors(state, str(folder / "ResNet18_512_cosplace.pth"))
    with pytest.raises(UserError, match=r"not finite \(aggregation.1.p\)"):
        load_network("ResNet18_512")


# --- the command


def run(capsys, *arguments, fails=False):
    if fails:
        with pytest.raises(SystemExit) as exit_:
            command.main([str(argument) for argument in arguments])
        assert exit_.value.code == 2
    else:
        command.main([str(argument) for argument in arguments])
    return capsys.readouterr()


def test_list(server, network, folder, capsys):
    load_network("ResNet18_512")
    (folder / "VGG16_64_cosplace.pth.part").write_bytes(b"x" * 7_000_000)
    head, *rows = run(capsys).out.splitlines()
    assert head.split() == ["name", "dimension", "MB", "there", "address", "R@1", "as", "published"] and len(rows) == 43
    addresses = published.addresses()
    # 14.7 M weights and the layer after them
    assert rows[0].split() == ["VGG16_64", "64", "59", "7", "MB", "of", "it", addresses["VGG16_64"]]
    by_name = {row.split()[0]: row.split(maxsplit=5) for row in rows}
    size = os.path.getsize(folder / "ResNet18_512_cosplace.pth")
    assert by_name["ResNet18_512"][1:] == [
        "512",
        f"{size / 1e6:.0f}",
        "yes",
        addresses["ResNet18_512"],
        "St Lucia 98.8",
    ]
    assert by_name["ResNet50_2048"][3:] == [
        "no",
        addresses["ResNet50_2048"],
        "Pitts30k 90.9, Pitts250k 92.3, Tokyo 24/7 87.3, MSLS val 87.4, St Lucia 99.6, SF-XL v1 76.4, SF-XL v2 88.8",
    ]
    # no figures where none are known
    assert by_name["EigenPlaces_ResNet50_2048"][3:] == ["no", addresses["EigenPlaces_ResNet50_2048"]]


def test_sizes_are_those_of_the_weights():
    for name, dim in (("ResNet18", 32), ("VGG16", 512)):
        assert command.size_of(name, dim) == sum(
            v.numel() * v.element_size() for v in GeoLocalizationNet(name, dim).state_dict().values()
        )


def test_fetch(server, capsys, folder):
    assert run(capsys, "resnet18_512").out == "resnet18_512: ResNet18 with 512-D descriptors, checked\n"
    result = run(capsys, "ResNet18_32", "ResNet18_512", "nonsense", fails=True)  # goes on after the first
    assert result.out == "ResNet18_512: ResNet18 with 512-D descriptors, checked\n"
    errors = result.err.strip().splitlines()
    assert (
        len(errors) == 2
        and "ResNet18_32 could not be fetched (HTTP Error 404" in errors[0]
        and "'nonsense' is neither" in errors[1]
    )
    assert os.listdir(folder) == ["ResNet18_512_cosplace.pth"]


def test_fetch_all(server, capsys, monkeypatch):
    monkeypatch.setattr(published, "addresses", lambda: {"ResNet18_512": server.address + PATH})
    assert run(capsys, "--all").out.startswith("ResNet18_512: ResNet18 with 512-D")


# --- a user's own zoo


def test_folder_as_zoo(server, network, capsys, monkeypatch):
    os.makedirs("own")
    save_network(small(), "own/lund.pth")
    torch.save({}, "own/broken.pth")
    rows = run(capsys, "--zoo", "own").out.splitlines()
    assert rows[1].split(maxsplit=2)[::2] == [
        "broken",
        "own/broken.pth holds no network: neither a state_dict nor a run's state with a model_state_dict",
    ]
    assert rows[2].split() == ["lund", "8", "45", "yes"] and len(rows) == 1 + 2 + 43
    assert equal(load_network("lund", zoo_location="own"), small()) and equal(
        load_network("ResNet18_512", zoo_location="own"), network
    )
    os.rename("own/lund.pth", "own/ResNet18_512.pth")  # comes before the published one, and must be what its name says
    with pytest.raises(UserError, match="own/ResNet18_512.pth is a ResNet18 with 8-D descriptors, not"):
        load_network("ResNet18_512", zoo_location="own")
    monkeypatch.setenv(zoo.VARIABLE, "own")
    with pytest.raises(
        UserError, match=r"'berlin' is neither a file, nor in the zoo own \(which has ResNet18_512, broken\), nor"
    ):
        load_network("berlin")
    assert (
        "there is no folder nowhere: --zoo takes a folder or a URL prefix"
        in run(capsys, "--zoo", "nowhere", fails=True).err
    )
    monkeypatch.setenv(zoo.VARIABLE, "gone")
    with pytest.raises(UserError, match="there is no folder gone: COSPLACE_ZOO takes"):
        load_network("lund")


def test_url_as_zoo(server, network, folder, capsys):
    address = server.address + "/own/"
    server.put("/own/lund.pth", small())
    listing = run(capsys, "--zoo", address).out
    assert (
        listing.splitlines()[-1] == f"{address} has no models.txt that lists its models; they can be fetched by name."
    )
    error = run(capsys, "--zoo", address, "--all", fails=True).err
    assert f"{address} has no models.txt that lists its models: name those to fetch" in error
    server.files["/own/models.txt"] = b"lund.pth\nResNet18_512\n\n"
    server.files["/own/ResNet18_512_cosplace.pth"] = server.files[PATH]  # a mirror of the published file
    rows = run(capsys, "--zoo", address).out.splitlines()
    assert [row.split() for row in rows[1:3]] == [["ResNet18_512", "no"], ["lund", "no"]]
    server.requests.clear()
    assert run(capsys, "--zoo", address, "--all").out.splitlines() == [
        "ResNet18_512: ResNet18 with 512-D descriptors, checked",
        "lund: ResNet18 with 8-D descriptors, checked",
    ]
    assert PATH not in server.requests  # it came from the mirror
    (own,) = os.listdir(folder)
    assert sorted(os.listdir(folder / own)) == ["ResNet18_512_cosplace.pth", "lund.pth"]
    server.requests.clear()
    assert equal(load_network("lund", zoo_location=address), small()) and not server.requests
    server.files["/own/models.txt"] = b"../../etc/passwd\n"
    assert (
        "models.txt names '../../etc/passwd', which is no name of a model"
        in run(capsys, "--zoo", address, fails=True).err
    )


def test_wrong_file_in_a_url_zoo(server, folder):
    server.files["/own/lund.pth"] = b"no weights"
    with pytest.raises(UserError, match="own/lund.pth sent is not lund: the download is"):
        load_network("lund", zoo_location=server.address + "/own")
    assert [files for _, _, files in os.walk(folder) if files] == []


def test_zoo_in_the_scripts(server, tiny, capsys):
    os.makedirs("own")
    save_network(small(), "own/lund.pth")
    flags = ["--dataset_folder", tiny, "--num_workers", "0", "--zoo", "own", "--resume_model"]
    assert eval_script.main([*flags, "lund"]) == 0
    assert "'berlin' is neither a file, nor in the zoo own" in fails(
        eval_script, capsys, *flags, "berlin", "--save_dir", "again"
    )
