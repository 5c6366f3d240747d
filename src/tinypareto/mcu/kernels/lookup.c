/* Any function of one value, as a table. */
#include "tinypareto.h"

void tp_run_lookup(const tp_lookup *operator)
{
    const int8_t *input = operator->input, *zero = operator->table - INT8_MIN;
    int8_t *output = operator->output;
    const int8_t *end = input + operator->count, *fours = input + (operator->count & ~(uint32_t)3);
    for (; input != fours; input += 4, output += 4) {
        output[0] = zero[input[0]];
        output[1] = zero[input[1]];
        output[2] = zero[input[2]];
        output[3] = zero[input[3]];
    }
    while (input != end) {
        *output++ = zero[*input++];
    }
}
