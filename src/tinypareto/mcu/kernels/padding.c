/* The same value everywhere. */
#include "tinypareto.h"

void tp_run_padding(const tp_padding *operator)
{
    for (uint32_t i = 0; i < operator->count; i++) {
        operator->output[i] = operator->value;
    }
}
