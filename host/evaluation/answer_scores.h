// What one system's answers to one domain's texts are worth, as the report writes it.
#pragma once

#include <vector>

#include "base/json.h"
#include "evaluation/figures.h"

namespace moecollab::evaluation {

// The global ids of a label space.
std::vector<int> label_ids(const fusion::LabelUnion& labels, int space);
// Those of `ids` that are the label of a text.
std::vector<int> present(const std::vector<int>& ids, const std::vector<int>& truth);

// {"accuracy", "macro_f1"}, both null if there are no answers. `labels` as for macro_f1().
Json scores(const std::vector<int>& truth, const std::vector<int>& predicted,
            const std::vector<int>& labels);
// The same, or null for a system that has no answers here.
Json scores_or_null(const std::vector<int>& truth, const std::vector<int>& predicted,
                    const std::vector<int>& labels);

// {"z", "fixed", "broke"} of McNemar's test.
Json paired(const std::vector<int>& truth, const std::vector<int>& before,
            const std::vector<int>& after);

// Share of the domain's texts whose greatest label-space mass is on their own space.
double routing_accuracy(const Figures& figures, const DomainFigures& domain);

}  // namespace moecollab::evaluation
