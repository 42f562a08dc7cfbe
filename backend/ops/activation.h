/* leaky_relu and gelu: hyperparameters. */
#ifndef CNND_ACTIVATION_H
#define CNND_ACTIVATION_H

struct leaky_relu_args {
        double negative_slope; /* never below 0, so that y has the sign of x, from which backward tells them
                                  apart */
};

enum gelu_form { GELU_FORM_ERF, GELU_FORM_TANH };
struct gelu_args {
        int approximate; /* enum gelu_form */
};

#endif
