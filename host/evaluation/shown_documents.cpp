#include "evaluation/shown_documents.h"

#include <array>

#include "evaluation/ablation_report.h"
#include "evaluation/report_values.h"
#include "evaluation/scale_report.h"
#include "evaluation/sweep_report.h"

namespace moecollab::evaluation {
namespace {

using Page = TablesPage (*)(const Json&);

constexpr char kSweep[] = "sweep", kAblation[] = "ablation", kScale[] = "scale";

template <const char* kKey, Page kPage>
Content charts_at(const Json& report) {
  return report.contains(kKey) ? kPage(report[kKey]).charts : std::vector<Chart>();
}

template <const char* kKey, Page kPage>
Content tables_at(const Json& report) {
  return report.contains(kKey) ? kPage(report[kKey]).tables : std::vector<TitledTable>();
}

// A document's charts beside each other, then its tables.
template <const char* kKey, Page kPage>
constexpr std::array<Part, 2> parts_of(std::string_view heading, std::string_view note, int place) {
  return {{{"", "", &charts_at<kKey, kPage>, {.html = place, .beside = true}},
           {heading, note, &tables_at<kKey, kPage>, {.markdown = place, .html = place + 1}}}};
}

constexpr auto kSweepParts =
    parts_of<kSweep, &sweep_page>("Sweep over λ1 and λ2", "Rows are λ1, columns λ2.", 120);
constexpr auto kAblationParts =
    parts_of<kAblation, &ablation_page>("Ablation", "The collaboration taken apart.", 124);
constexpr auto kScaleParts =
    parts_of<kScale, &scale_page>("Scale", "Pools of more and more experts.", 128);

constexpr ShownDocument kDocuments[] = {{kSweepSchema, kSweep, &sweep_page,
                                         [] {
                                           return Section{kSweep, nullptr, kSweepParts};
                                         }},
                                        {kAblationSchema, "ablate", &ablation_page,
                                         [] {
                                           return Section{kAblation, nullptr, kAblationParts};
                                         }},
                                        {kScaleSchema, kScale, &scale_page, [] {
                                           return Section{kScale, nullptr, kScaleParts};
                                         }}};

}  // namespace

std::span<const ShownDocument> shown_documents() { return kDocuments; }

}  // namespace moecollab::evaluation
