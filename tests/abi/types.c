/* Every struct of the ABI, reachable from functions, for abidiff to compare by their debug
 * information. */
#include <moecollab/ext/encoder.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>
#include <moecollab/note.h>

void see_library(const moec_library* library) { (void)library; }
void see_note(const moec_elf_note* note) { (void)note; }
void see_extensions(const moec_ext_encoder* encoder, const moec_ext_fit* fit,
                    const moec_ext_params* params, const moec_ext_state* state,
                    const moec_ext_train* train) {
  (void)encoder, (void)fit, (void)params, (void)state, (void)train;
}
