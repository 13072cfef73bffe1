// A report as `eval --report` writes it, with figures of a plausible run.
#pragma once

#include "base/json.h"

namespace moecollab::evaluation {

inline Json sample_domain(int n, const char* space, const char* expert, double baseline,
                          double alone, double moe, const Json& labels, const Json& matrix) {
  const auto both = [](double accuracy, double f1) {
    return Json{{"accuracy", accuracy}, {"macro_f1", f1}};
  };
  return {{"n", n},
          {"label_space", space},
          {"baseline", both(baseline, baseline - 0.1)},
          {"majority", both(baseline + 0.05, baseline - 0.12)},
          {"expert", {{"name", expert}, {"accuracy", alone}, {"macro_f1", alone - 0.012}}},
          {"moe",
           {{"accuracy", moe},
            {"macro_f1", moe - 0.015},
            {"accuracy_task_aware", moe + 0.004},
            {"macro_f1_task_aware", moe - 0.009},
            {"accuracy_ci", {moe - 0.021, moe + 0.019}}}},
          {"oracle", both(alone, alone - 0.012)},
          {"uniform_gate", both(moe - 0.06, moe - 0.08)},
          {"multi_task_head", nullptr},
          {"multi_task_deep", nullptr},
          {"routing_accuracy", 0.981},
          {"confusion", {{"labels", labels}, {"matrix", matrix}}}};
}

inline Json sample_report() {
  Json report{{"schema", "moecollab.report/1"}};
  report["domains"] = {
      {"general", sample_domain(872, "general/1", "general-lexical", 0.491, 0.807, 0.801,
                                {"negative", "positive"}, {{338, 90}, {79, 365}})},
      {"emotion",
       sample_domain(2000, "emotion/1", "emotion-lexical", 0.211, 0.884, 0.879,
                     {"anger", "fear", "joy"}, {{241, 12, 9}, {14, 190, 6}, {8, 5, 661}})},
      {"news",
       sample_domain(1140, "news/1", "news", 0.263, 0.881, 0.877,
                     {"World", "Sports", "Business", "Sci/Tech"},
                     {{250, 5, 18, 12}, {3, 278, 2, 1}, {15, 1, 240, 29}, {11, 2, 26, 246}})},
      {"medical", nullptr}};
  report["domains"]["medical"] =
      sample_domain(394, "medical/1", "medical", 0.188, 0.604, 0.594, Json::array(), Json::array());
  report["overall"] = {
      {"accuracy", 0.842},
      {"domain_mean", 0.788},
      {"macro_f1", 0.773},
      {"oracle_accuracy", 0.8479},
      {"gap_to_oracle", 0.0059},
      {"routing_accuracy", 0.976},
      {"ece", 0.031},
      {"coverage", {{"1.0", 0.842}, {"0.9", 0.884}, {"0.8", 0.917}, {"0.5", 0.972}}},
      {"mcnemar",
       {{{"vs", "uniform gate"}, {"z", 9.31}, {"fixed", 312}, {"broke", 97}},
        {{"vs", "oracle"}, {"z", -2.24}, {"fixed", 18}, {"broke", 35}},
        {{"vs", "best single expert"}, {"z", -0.83}, {"fixed", 21}, {"broke", 27}}}},
      {"truncated", 12}};
  report["gate"] = {
      {"fusion", "mixture"},
      {"fitted_fusion", "mixture"},
      {"top_k", 0},
      {"load",
       {{"general-lexical", 1.61},
        {"emotion-lexical", 1.82},
        {"news", 0.97},
        {"medical", 0.58},
        {"clauses", 0.02}}},
      {"load_space",
       {{"general/1", 1.04}, {"emotion/1", 0.97}, {"news/1", 1.02}, {"medical/1", 0.98}}},
      {"n_eff", 3.41},
      {"n_eff_target", 3.44},
      {"n_eff_experts", 3.9},
      {"utilisation", {{"soft", 0.991}, {"hard", 0.997}}},
      {"dead", Json::array()},
      {"idle", {"clauses"}},
      {"entropy_mean", 0.184},
      {"objective", {{"task", 0.4312}, {"entropy", 0.1838}, {"balance", 0.0041}}}};
  report["specialisation"] = {
      {"matrix",
       {{"general-lexical",
         {{"general", 0.93}, {"emotion", 0.04}, {"news", 0.02}, {"medical", 0.01}}},
        {"emotion-lexical",
         {{"general", 0.03}, {"emotion", 0.96}, {"news", 0.01}, {"medical", 0.0}}},
        {"news", {{"general", 0.01}, {"emotion", 0.01}, {"news", 0.95}, {"medical", 0.03}}},
        {"medical", {{"general", 0.01}, {"emotion", 0.01}, {"news", 0.05}, {"medical", 0.93}}},
        {"clauses", {{"general", 0.31}, {"emotion", 0.2}, {"news", 0.3}, {"medical", 0.19}}}}},
      {"per_expert",
       {{"general-lexical", 0.776},
        {"emotion-lexical", 0.871},
        {"news", 0.829},
        {"medical", 0.77},
        {"clauses", nullptr}}},
      {"nmi", 0.844}};
  report["compute"] = {{"arrangement", "shared"},
                       {"encoder_forwards_per_text", 1.0},
                       {"cache_hits", 4406},
                       {"flops_per_text", 1.384e9},
                       {"flops_b0_per_text", 6.897e9},
                       {"saved", 0.7993},
                       {"tokens", 172345},
                       {"seconds", 31.42},
                       {"texts_per_second", 140.2},
                       {"peak_rss_bytes", 734003200}};
  const auto expert = [](const char* name, const char* state, Json code, int calls) {
    return Json{{"name", name},
                {"version", "1.0.0"},
                {"state", state},
                {"code", std::move(code)},
                {"sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
                {"isolation", "in-process"},
                {"calls", calls},
                {"faults", 0}};
  };
  report["experts"] = {
      expert("general-lexical", "ready", nullptr, 4406),
      expert("emotion-lexical", "ready", nullptr, 4406), expert("news", "ready", nullptr, 4406),
      expert("medical", "ready", nullptr, 4406), expert("clauses", "refused", "E_PLUG_DIGEST", 0)};
  report["provenance"] = {
      {"version", "0.3.0"},
      {"libtorch", "2.15.0"},
      {"device", "cpu"},
      {"precision", "fp32"},
      {"threads", 2},
      {"seed", 1},
      {"encoder_sha256", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
      {"registry_lock_sha256", "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"},
      {"data",
       {{"general", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"},
        {"emotion", "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"}}},
      {"train_overlap", {{"general", 0}, {"emotion", 7}}},
      {"command", "moecollab eval --data-dir samples/data --report report.json"}};
  return report;
}

}  // namespace moecollab::evaluation
