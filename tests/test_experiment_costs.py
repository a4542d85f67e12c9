"""Arms that are to cost the same do, and differ in nothing else than they say."""

import pytest

from minighost import nn
from minighost.experiments.catalogue import EXPERIMENTS
from minighost.experiments.trials import trials
from minighost.nn.counts import count
from minighost.train.restore import create_model


def sizes(name):
    """Parameters and multiply-adds of every arm of the full form."""
    found = {}
    for trial in trials(EXPERIMENTS[name], False, 1).trials:
        with nn.without_weights():
            model = create_model(trial.config, 10)
        rows = count(model, (32, 32, 3))
        found[trial.values["arm"]] = sum(row.params for row in rows), sum(row.macs for row in rows)
    return found


def test_arms_with_crelu_have_the_parameters_of_relu_and_only_the_narrow_one_keeps_the_saving():
    found = {arm: parameters for arm, (parameters, _) in sizes("crelu").items()}
    narrow, relu = found.pop("first 4, narrow"), found["ReLU"]
    assert found == pytest.approx(dict.fromkeys(found, relu), rel=0.035)
    assert narrow < 0.9 * relu


@pytest.mark.parametrize("name, arms", [("separable", ""), ("groups", "wider")])
def test_kinds_of_convolution_are_compared_at_equal_multiply_adds(name, arms):
    found = {arm: macs for arm, (_, macs) in sizes(name).items() if arms in arm}
    assert len(found) >= 4
    assert found == pytest.approx(dict.fromkeys(found, next(iter(found.values()))), rel=0.035)


def test_groups_of_equal_width_have_one_nth_of_the_weights_and_wider_ones_nearly_as_many():
    found = sizes("groups")
    dense, eight = found["g=1"][1], found["g=8"][1]
    assert eight < dense / 5  # the stem and the classifier have no groups
    weights = {arm: parameters for arm, (parameters, _) in found.items() if "wider" in arm}
    assert weights == pytest.approx(dict.fromkeys(weights, weights["g=1, wider"]), rel=0.15)


def test_the_family_meets_its_budget_of_multiply_adds():
    found = {arm: macs for arm, (_, macs) in sizes("family").items()}
    assert len(found) == 10
    assert found == pytest.approx(dict.fromkeys(found, 11e6), rel=0.15)


def test_a_pruned_resnet_has_the_multiply_adds_of_its_ghost_form_and_the_budget_of_the_others():
    found = {arm: macs for arm, (_, macs) in sizes("ghost-resnet").items()}
    for depth in ("20", "56"):
        assert found[f"{depth} pruned"] == pytest.approx(found[f"{depth} ghost"], rel=0.01)
    assert found["20 narrow"] == found["20 pruned"]
    form = EXPERIMENTS["ghost-resnet"].full
    assert form.arms["56 pruned"]["train.prune_after"] * 3 == 2 * form.recipe["train.epochs"]


def test_a_pointwise_ghost_network_is_widened_to_the_cost_of_the_standard_one_and_the_others_cost_little_more():
    found = {arm: macs for arm, (_, macs) in sizes("ghost-parts").items()}
    standard, pointwise = found["standard"], found.pop("k=1")
    assert pointwise < standard / 3
    assert found.pop("k=1, wider") == pytest.approx(standard, rel=0.03)
    assert all(standard <= macs < 1.06 * standard for macs in found.values())
