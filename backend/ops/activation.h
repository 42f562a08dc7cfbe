/* leaky_relu: hyperparameters. */
#ifndef CNND_ACTIVATION_H
#define CNND_ACTIVATION_H

struct leaky_relu_args {
        double negative_slope; /* never below 0, so that y has the sign of x, from which backward tells them
                                  apart */
};

#endif
