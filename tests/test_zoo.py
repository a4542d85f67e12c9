"""Published sizes of networks: every exact one is what we count, and none is left out."""

import pytest

from minighost import analysis, models

SIZES = models.published()
NAMES = {size.model for size in SIZES}


@pytest.mark.parametrize("name", sorted(NAMES - models.NOT_BUILT.keys()))
def test_a_network_has_to_the_last_unit_the_size_that_was_published(name):
    for entry in analysis.entries(size for size in SIZES if size.model == name):
        assert not entry.missing, f"{entry.published}: {entry.missing}"
        assert entry.equal or not entry.published.exact, f"{entry}"


def test_what_is_not_built_is_said_and_not_registered():
    assert models.NOT_BUILT.keys() == NAMES - {*models.names(), *models.detectors()}
    for entry in analysis.entries(size for size in SIZES if size.model in models.NOT_BUILT):
        assert (entry.params, entry.macs, entry.equal) == (None, None, False)
        assert entry.missing == models.NOT_BUILT[entry.published.model]


def test_an_entry_that_cannot_be_built_is_there_with_the_reason():
    right, wrong = SIZES[0], SIZES[0]._replace(kwargs={"widht": 1})
    other = right._replace(model="no_such", kwargs={})
    plane = right._replace(model="resnet20", kwargs={}, input=(32, 32, 4))
    reasons = [entry.missing for entry in analysis.entries([wrong, other, plane])]
    assert "did you mean 'width'?" in reasons[0]
    assert reasons[1] == "no network is registered under this name"
    assert "stem.conv" in reasons[2]


def test_a_count_that_differs_by_one_is_not_equal():
    (entry,) = analysis.entries([SIZES[0]._replace(model="resnet20", kwargs={}, input=(32, 32, 3), classes=10)])
    size = entry.published._replace(params=entry.params, macs=entry.macs)
    assert entry._replace(published=size).equal
    assert not entry._replace(published=size, params=entry.params + 1).equal
    assert not entry._replace(published=size, macs=entry.macs - 1).equal


def test_a_number_that_was_not_published_is_equal_whatever_it_is():
    (size,) = (size for size in SIZES if size.model == "ghostnet_retinanet" and size.kwargs["p6_from"] == "P5")
    (entry,) = analysis.entries([size])
    assert size.macs is None and entry.equal and entry.macs > 0
    assert not entry._replace(params=entry.params + 1).equal


def test_the_standard_form_is_the_first_exact_one_of_width_1():
    forms = {size.model: size for size in analysis.standard_forms(SIZES)}
    assert forms.keys() == NAMES
    assert forms["ghostnet"].kwargs == {"width": 1.0, "rounding": "torch"} and forms["ghostnet"].params == 5_182_508
    assert forms["mobilenet_v2"].kwargs == {"width": 1.0} and forms["mobilenet_v2"].input == (224, 224, 3)
    assert not forms["mobilenet_v2_kuangliu"].exact


def test_published_sizes_name_their_sources():
    assert len(SIZES) == 267
    assert all(size.source and size.input[2] == 3 and size.classes > 0 for size in SIZES)
    assert all(size.params for size in SIZES if size.exact)
