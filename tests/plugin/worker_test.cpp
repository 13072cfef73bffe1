// The adapter and the lexical expert in another process, over shared memory: the same bits as here.
#include <gmock/gmock.h>

#include <deque>
#include <random>

#include "plugin/throwaway_worker.h"

namespace moecollab::plugin_test {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

void fill(const Floats& tensor, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> value(-1, 1);
  for (size_t i = 0; i < tensor.size(); ++i) tensor[i] = value(generator);
}

ExpertSpec adapter_spec() {
  ExpertSpec spec;
  spec.inputs = MOEC_INPUT_POOLED;
  spec.pooling = MOEC_POOLING_MEAN;
  spec.layers = {6};
  spec.hidden = 8;
  spec.classes = 3;
  return spec;
}

TEST(Worker, TrainsAnAdapterWithTheSameBits) {
  Worker worker;
  const ExpertSpec spec = adapter_spec();
  const LoadedLibrary library(MOECOLLAB_ADAPTER);
  const LoadedExpert here(library, spec);
  const BoundParameters parameters(library, here);

  std::vector<Floats> values, grads;
  std::vector<const Floats*> both;
  for (const Floats& value : parameters.values)
    values.push_back(worker.memory.floats(value.shape()));
  for (const Floats& value : parameters.values)
    grads.push_back(worker.memory.floats(value.shape()));
  for (const Floats& value : values) both.push_back(&value);
  for (const Floats& grad : grads) both.push_back(&grad);
  worker.create(MOECOLLAB_ADAPTER, spec);
  worker.call(Op::bind, both);
  worker.call(Op::init, {}, 5);
  parameters.init(5);
  for (size_t p = 0; p < values.size(); ++p) {
    EXPECT_EQ(values[p].values(), parameters.values[p].values()) << parameters.names[p];
    // The host's optimiser writes into the storage.
    fill(values[p], static_cast<unsigned>(p));
    fill(parameters.values[p], static_cast<unsigned>(p));
  }
  worker.call(Op::params_changed);
  parameters.changed();

  const auto* train = library.extension<moec_ext_train>(MOEC_EXT_TRAIN);
  const moec_exec exec = one_thread();
  std::deque<Floats> shared_x, shared_gx, gx;
  std::deque<Batch> batches;
  std::vector<moec_saved*> saved(2, nullptr);
  for (size_t i = 0; i < 2; ++i) {  // two contexts alive at once
    const int64_t n = i == 0 ? 5 : 3;
    const Floats& x = shared_x.emplace_back(worker.memory.floats({n, 8}));
    fill(x, 20 + static_cast<unsigned>(i));
    const Floats shared_y = worker.memory.floats({n, 3}), y({n, 3});
    worker.call(Op::forward, {&shared_y, &x});
    EXPECT_EQ(shared_y.values(), here.forward(Batch(x)));
    std::fill_n(shared_y.data(), shared_y.size(), 0.0F);
    worker.call(Op::forward_train, {&shared_y, &x});
    batches.emplace_back(x);
    LoadedExpert::check([&](moec_error* error) {
      return train->forward_train(here.get(), &exec, batches.back().get(), y.view(), &saved[i],
                                  error);
    });
    EXPECT_EQ(shared_y.values(), y.values());
  }
  for (size_t i = 0; i < 2; ++i) {
    const int64_t n = batches[i].rows();
    const Floats& there = shared_gx.emplace_back(worker.memory.floats({n, 8}));
    const Floats& mine = gx.emplace_back(std::vector<int64_t>{n, 8});
    const Floats gy = worker.memory.floats({n, 3});
    fill(gy, 30);
    worker.call(Op::vjp, {&gy, &there}, i);
    worker.call(Op::release_saved, {}, i);
    const moec_tensor* to = mine.view();
    LoadedExpert::check([&](moec_error* error) {
      return train->vjp(here.get(), &exec, saved[i], gy.view(), 1, &to, error);
    });
    train->release_saved(here.get(), saved[i]);
    EXPECT_EQ(there.values(), mine.values());
  }
  for (size_t p = 0; p < grads.size(); ++p) {
    EXPECT_EQ(grads[p].values(), parameters.grads[p].values()) << parameters.names[p];
    EXPECT_NE(grads[p][0], 0.0F) << parameters.names[p];
  }
}

TEST(Worker, TakesAndGivesTheStateOfTheLexicalExpert) {
  Worker worker;
  ExpertSpec spec;
  spec.classes = 3;
  const LoadedLibrary library(MOECOLLAB_LEXICAL);
  const LoadedExpert here(library, spec);
  const std::vector<std::string> texts = {"red apple",   "red cherry", "green leaf",
                                          "green grass", "blue sky",   "blue sea"};
  here.fit(Batch(texts), {0, 0, 1, 1, 2, 2});
  const auto state = here.read_state();

  worker.create(MOECOLLAB_LEXICAL, spec);
  const std::vector<std::string> names = {"idf", "weight", "bias"};
  std::deque<Floats> back;
  for (size_t i = 0; i < names.size(); ++i) {
    const Floats& tensor = state.at(names[i]);
    const Floats source = worker.memory.floats(tensor.shape());
    std::copy_n(tensor.data(), tensor.size(), source.data());
    worker.call(Op::write_state, {&source}, i);
    const Floats& read = back.emplace_back(worker.memory.floats(tensor.shape()));
    worker.call(Op::read_state, {&read}, i);
    EXPECT_EQ(read.values(), tensor.values()) << names[i];
  }
  const Floats y = worker.memory.floats({6, 3});
  worker.call(Op::forward, {&y}, 0, texts);
  EXPECT_EQ(y.values(), here.forward(Batch(texts)));
  EXPECT_GT(y[0], y[1]);
}

TEST(Worker, ReportsRefusalsAndItsDeath) {
  Worker worker;
  const Floats x = worker.memory.floats({2, 8}), y = worker.memory.floats({2, 3});
  worker.create(MOECOLLAB_ADAPTER, adapter_spec());
  EXPECT_THAT(
      [&] {
        worker.call(Op::forward, {&y, &x});
      },
      ThrowsMessage<std::runtime_error>(HasSubstr("no weights were given")));
  for (const Op last : {Op::die, Op::params_changed}) {
    EXPECT_THAT([&] { worker.call(last); },
                ThrowsMessage<std::runtime_error>(HasSubstr("the worker is gone")));
  }
}

}  // namespace
}  // namespace moecollab::plugin_test
