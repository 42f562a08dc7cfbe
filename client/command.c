#include "client/command.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define FOLLOW                                                                                               \
        {                                                                                                    \
                "follow", OPTION_FLAG, NULL,                                                                 \
                        "draw the curve until the job ends; into a pipe, print a line per point", NULL, 0    \
        }
#define WAIT                                                                                                 \
        {                                                                                                    \
                "wait", OPTION_INT, "SECONDS", "how long to try again when the server is away (60)", NULL, 0 \
        }
#define END                                                                                                  \
        {                                                                                                    \
                NULL, OPTION_FLAG, NULL, NULL, NULL, 0                                                       \
        }

const struct command_option command_globals[] = {
        {"json", OPTION_FLAG, NULL, "print what the server sent", NULL, 0},
        {"url", OPTION_TEXT, "URL", "the server: http://HOST:PORT, https://… or unix:PATH", NULL, 0},
        {"token", OPTION_TEXT, "TOKEN",
                "your token; users of this machine can see it here, but not in CNND_TOKEN", NULL, 0},
        {"help", OPTION_FLAG, NULL, "this text", NULL, 'h'},
        {"version", OPTION_FLAG, NULL, "the version of cnnctl", NULL, 0}, END};

static const struct command_option train_options[] = {
        {"arch", OPTION_TEXT, "NAME", "network: a preset, or a .json file with an architecture", NULL, 0},
        {"dataset", OPTION_TEXT, "NAME", "data set to train on", "dataset/name", 0},
        {"epochs", OPTION_INT, "N", "passes over the data", "epochs", 0},
        {"lr", OPTION_NUMBER, "X", "learning rate", "optimizer/lr", 0},
        {"batch", OPTION_INT, "N", "images per step", "batch_size", 0},
        {"optimizer", OPTION_TEXT, "NAME", "sgd, adagrad, adam, adamw or yogi", "optimizer/name", 0},
        {"momentum", OPTION_NUMBER, "X", "momentum of sgd", "optimizer/momentum", 0},
        {"weight-decay", OPTION_NUMBER, "X", "weight decay of the optimizer", "optimizer/weight_decay", 0},
        {"gradient-clip", OPTION_NUMBER, "X", "largest norm of all gradients together",
                "optimizer/gradient_clip", 0},
        {"schedule", OPTION_TEXT, "NAME", "schedule of the learning rate: constant, step or cosine",
                "optimizer/schedule/name", 0},
        {"step-epochs", OPTION_INT, "N", "for step: multiply the rate by gamma after this many epochs",
                "optimizer/schedule/step_epochs", 0},
        {"gamma", OPTION_NUMBER, "X", "for step: the factor (0.1)", "optimizer/schedule/gamma", 0},
        {"warmup", OPTION_NUMBER, "EPOCHS", "let the learning rate rise from zero for this long",
                "optimizer/schedule/warmup_epochs", 0},
        {"seed", OPTION_INT, "N", "the same seed gives the same run", "seed", 0},
        {"name", OPTION_TEXT, "TEXT", "a title for people", "name", 0},
        {"save-as", OPTION_TEXT, "MODEL", "keep the trained model under this name", "save_as", 0},
        {"save-best", OPTION_TEXT, "METRIC",
                "save the best epoch by val_loss, val_acc, train_loss or train_acc", "save_best", 0},
        {"init", OPTION_TEXT, "NAME", "initial weights: xavier_uniform, kaiming_uniform or normal",
                "init/name", 0},
        {"init-from", OPTION_TEXT, "MODEL", "start with the weights of a model", "init/from", 0},
        {"no-strict", OPTION_FLAG, NULL, "initialise what that model lacks or has in another shape",
                "init/strict", 0},
        {"resize", OPTION_SHAPE, "224x224", "height and width to scale images to", "dataset/resize", 0},
        {"limit", OPTION_INT, "N", "use this many training images", "dataset/limit", 0},
        {"val-limit", OPTION_INT, "N", "use this many validation images", "dataset/val_limit", 0},
        {"max-steps", OPTION_INT, "N", "stop after this many steps", "max_steps", 0},
        {"report-every", OPTION_INT, "N", "steps between points of the curve", "report_every", 0},
        {"no-shuffle", OPTION_FLAG, NULL, "take the images in their order", "shuffle", 0}, FOLLOW, WAIT, END};
static const struct command_option submit_options[] = {FOLLOW, WAIT, END};
static const struct command_option follow_options[] = {WAIT, END};
static const struct command_option jobs_options[] = {
        {"state", OPTION_TEXT, "STATE", "queued, running, paused, succeeded, failed or cancelled", NULL, 0},
        {"user", OPTION_TEXT, "NAME", "one user's jobs", NULL, 0},
        {"limit", OPTION_INT, "N", "list at most this many (20)", NULL, 'n'}, END};
static const struct command_option curve_options[] = {
        {"output", OPTION_TEXT, "FILE", "write a drawing (.svg), CSV (.csv) or JSON (.json)", NULL, 'o'},
        {"csv", OPTION_TEXT, "FILE", "write the points as CSV; - is stdout", NULL, 0},
        {"svg", OPTION_TEXT, "FILE", "write a drawing; - is stdout", NULL, 0}, END};
static const struct command_option classify_options[] = {
        {"top", OPTION_INT, "N", "the N best classes of each image (3)", NULL, 0},
        {"csv", OPTION_TEXT, "FILE", "write a CSV row for each image and class; - is stdout", NULL, 0}, WAIT,
        END};
static const struct command_option result_options[] = {
        {"csv", OPTION_TEXT, "FILE",
                "write a CSV row for each class, with what it was taken for; - is stdout", NULL, 0},
        {"images", OPTION_TEXT, "FILE",
                "write a CSV row for each image, with file and probability; - is stdout", NULL, 0},
        END};
static const struct command_option map_options[] = {
        {"output", OPTION_TEXT, "FILE", "write an overlay (.png) or the numbers (.json)", NULL, 'o'},
        {"window", OPTION_INT, "PIXELS", "side of the window that is classified (128)", NULL, 0},
        {"stride", OPTION_INT, "PIXELS", "from one window to the next (half a window)", NULL, 0},
        {"threshold", OPTION_NUMBER, "X", "cells whose best class is less probable are uncertain (0.5)", NULL,
                0},
        END};
static const struct command_option summary_options[] = {
        {"input", OPTION_SHAPE, "1x224x224", "channels, height and width of an image", NULL, 0},
        {"batch", OPTION_INT, "N", "images at a time (1)", NULL, 0},
        {"num-classes", OPTION_INT, "N", "outputs of the last layer (10)", NULL, 0}, END};
static const struct command_option datasets_options[] = {
        {"sheet", OPTION_TEXT, "FILE", "write a contact sheet of its classes (PNG)", NULL, 0}, END};
static const struct command_option import_options[] = {
        {"size", OPTION_TEXT, "SIZE", "side of an image, or HEIGHTxWIDTH", NULL, 0},
        {"fit", OPTION_TEXT, "HOW", "how images are brought to that size: resize, crop or tile", NULL, 0},
        {"stride", OPTION_INT, "PIXELS", "from one tile to the next", NULL, 0},
        {"pixel-size", OPTION_NUMBER, "NM", "rescale every image to pixels of this side first", NULL, 0},
        {"normalize", OPTION_TEXT, "HOW", "what is done to pixel values: percentiles, per_image or none",
                NULL, 0},
        {"channels", OPTION_INT, "N", "1 for grey, 3 for colour", NULL, 0},
        {"val", OPTION_TEXT, "PART", "share of the images for validation (0.2)", NULL, 0}, END};
static const struct command_option upload_options[] = {
        {"input", OPTION_SHAPE, "3x224x224", "size of an image, if an ONNX file leaves it open", NULL, 0},
        {"classes", OPTION_TEXT, "FILE", "names of its classes, one per line", NULL, 0},
        {"preprocessing", OPTION_TEXT, "JSON", "what is done to images first", NULL, 0}, END};

const struct command command_table[] = {
        {"train", "", 0, 0, false, "train a network; --arch and --dataset are needed",
                "  cnnctl train --arch bn-lenet --dataset fashion-mnist --epochs 10 --lr 0.1 --follow",
                train_options, cmd_train},
        {"submit", "FILE", 1, 1, false, "submit a job written as JSON; - reads standard input", NULL,
                submit_options, cmd_submit},
        {"jobs", "", 0, 0, false, "list jobs, newest first", NULL, jobs_options, cmd_jobs},
        {"show", "ID", 1, 1, true, "print all about one job", NULL, NULL, cmd_show},
        {"follow", "ID", 1, 1, true, "watch a job until it ends",
                "Ctrl-C leaves the job running. The exit status is 0 when the job succeeded, 1 when it did "
                "not.",
                follow_options, cmd_follow},
        {"cancel", "ID...", 1, INT_MAX, true, "end jobs for good", NULL, NULL, cmd_control},
        {"pause", "ID...", 1, INT_MAX, true, "stop jobs at their next step, with a checkpoint", NULL, NULL,
                cmd_control},
        {"resume", "ID...", 1, INT_MAX, true, "let paused jobs go on", NULL, NULL, cmd_control},
        {"curve", "ID", 1, 1, true, "draw a job's curve, or write it to a file",
                "Without an option the curve is drawn on a terminal, and printed as CSV into a pipe.",
                curve_options, cmd_curve},
        {"result", "ID", 1, 1, true, "print the scores of a classify job, class by class", NULL,
                result_options, cmd_result},
        {"classify", "MODEL FILE...", 2, INT_MAX, false,
                "classify images: PNG, JPEG, TIFF, MRC, DM, EMD, SER, NPY, PGM",
                "FILE may also be a zip or a tar of images, or a folder, which is sent many files at a time.",
                classify_options, cmd_classify},
        {"map", "MODEL FILE", 2, 2, false, "map the classes of a large micrograph",
                "Without -o it prints the cells of each class on a terminal, and JSON into a pipe.",
                map_options, cmd_map},
        {"summary", "ARCH", 1, 1, false, "list the layers of a network (a preset, or a .json file)",
                "  cnnctl summary bn-lenet --input 1x28x28 --batch 128", summary_options, cmd_summary},
        {"datasets", "[NAME]", 0, 1, false, "list data sets, or the classes of one", NULL, datasets_options,
                cmd_datasets},
        {"import", "NAME PATH", 2, 2, false, "make a data set",
                "PATH: a folder with one folder of images per class, a zip or tar of it, .npz or "
                ".safetensors.",
                import_options, cmd_import},
        {"models", "", 0, 0, false, "list models", NULL, NULL, cmd_models},
        {"export", "MODEL FILE", 2, 2, false,
                "write a model, as ONNX to FILE.onnx, else safetensors; - is stdout", NULL, NULL, cmd_export},
        {"upload", "MODEL FILE", 2, 2, false, "make a model of an ONNX or safetensors file",
                "  cnnctl upload scenes resnet18.onnx --classes imagenet.txt \\\n"
                "    --preprocessing '{\"normalize\": {\"mean\": [0.485, 0.456, 0.406], \"std\": [0.229, "
                "0.224, 0.225]}}'",
                upload_options, cmd_upload},
        {"delete", "model|dataset|job NAME...", 2, INT_MAX, false,
                "delete models, data sets or ended jobs for good", NULL, NULL, cmd_delete},
        {"devices", "", 0, 0, false, "list devices", NULL, NULL, cmd_devices},
        {"help", "[COMMAND]", 0, 1, false, "explain a command", NULL, NULL, cmd_help},
        {NULL, NULL, 0, 0, false, NULL, NULL, NULL, NULL}};

const struct command *command_find(const char *name)
{
        for (const struct command *c = command_table; c->name; c++)
                if (strcmp(c->name, name) == 0)
                        return c;
        return NULL;
}
